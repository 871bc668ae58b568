package dataset

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/imageio/imagetest"
)

func readText(t *testing.T, text string) (*Dataset, error) {
	t.Helper()
	return ReadManifest(write(t, filepath.Join(t.TempDir(), "list.csv"), []byte(text)))
}

func TestManifest(t *testing.T) {
	d, err := readText(t, "\xef\xbb\xbfgroup,path,age,label,split,class_name,mask\r\n"+
		"p1,\"a,b.png\",7,2,train,mel,m/1.png\r\n"+
		",sub/c.jpg,,0,val,nv,\r\n"+
		"p1,/abs/d.png,,2,test,,\r\n")
	if err != nil {
		t.Fatal(err)
	}
	s := d.Samples
	if len(s) != 3 || s[0].Name != "a,b.png" || s[1].Name != "c.jpg" || s[2].Path != "/abs/d.png" {
		t.Fatalf("got %+v", s)
	}
	if !slices.Equal(d.Labels([]int{0, 1, 2}), []int64{2, 0, 2}) || s[1].Split != Val || s[2].Split != Test {
		t.Errorf("labels or splits: %+v", s)
	}
	if !slices.Equal(d.ClassNames, []string{"nv", "1", "mel"}) || d.NumClasses() != 3 {
		t.Errorf("class names: %q", d.ClassNames)
	}
	if g := d.Groups([]int{0, 1, 2}); g[0] != g[2] || g[1] == g[0] || g[1] < 0 {
		t.Errorf("groups: %v", g)
	}
	if filepath.Base(filepath.Dir(s[0].Mask)) != "m" || s[1].Mask != "" || filepath.Dir(filepath.Dir(s[1].Path)) != filepath.Dir(s[0].Path) {
		t.Errorf("paths: %+v", s)
	}
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "1 groups") {
		t.Errorf("the group in two splits is not reported: %q", d.Warnings)
	}
}

func TestManifestRefuses(t *testing.T) {
	const head = "path,label,class_name,split\n"
	for _, c := range []struct{ name, text, want string }{
		{"an empty file", "", "empty file"},
		{"a header alone", "path,label\n", "no images"},
		{"no label column", "path,class\na.png,1\n", `without a column "label"`},
		{"no path column", "label\n1\n", `without a column "path"`},
		{"a column twice", "path,label,label\na.png,1,2\n", `"label" twice`},
		{"a label that is a word", head + "a.png,nv,,train\n", `line 2: got the label "nv"`},
		{"a label with a fraction", head + "a.png,1.0,,train\n", `line 2: got the label "1.0"`},
		{"a negative label", head + "a.png,0,,train\nb.png,-1,,train\n", `line 3: got the label "-1"`},
		{"a huge label", head + "a.png,70000,,train\n", "line 2"},
		{"no label", head + "a.png,,,train\n", "line 2"},
		{"an empty path", head + " ,1,,train\n", "line 2: got an empty path"},
		{"a path twice", head + "a.png,1,,train\nb.png,1,,train\n./x/../a.png,1,,val\n", `line 4: got "a.png" again, it is in line 2`},
		{"a class with two names", head + "a.png,1,nv,train\nb.png,1,mel,train\n", `line 3: got the class_name "mel" for label 1, which earlier lines call "nv"`},
		{"two classes with one name", head + "a.png,1,nv,train\nb.png,2,nv,train\n", `"nv" for the labels 1 and 2`},
		{"an unknown split", head + "a.png,1,,dev\n", `line 2: got the split "dev", want train, val or test`},
		{"an empty split", head + "a.png,1,,\n", "line 2"},
		{"a line with too few cells", head + "a.png,1\n", "line 2: got broken CSV"},
		{"text that is not UTF-8", head + "a\xff.png,1,,train\n", "line 2: got text that is not UTF-8"},
		{"a quote left open", head + "\"a.png,1,,train\n", "broken CSV"},
	} {
		_, err := readText(t, c.text)
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want Invalid with %q", c.name, err, c.want)
		}
	}
}

func TestOpenNamesWhatIsMissing(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "nothing.csv"))
	if errs.KindOf(err) != errs.NotFound || !strings.Contains(err.Error(), `"nothing.csv"`) {
		t.Errorf("got %v", err)
	}
}

func TestHAM10000Manifest(t *testing.T) {
	d, err := Open(filepath.Join(imagetest.Folder(t, "ham10000"), "manifest.csv"))
	if err != nil {
		t.Fatal(err)
	}
	// the counts of the data's README
	if n := []int{len(d.Indices(Train)), len(d.Indices(Val)), len(d.Indices(Test))}; !slices.Equal(n, []int{4871, 697, 1449}) {
		t.Errorf("got %v images", n)
	}
	if !slices.Equal(d.ClassNames, []string{"akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"}) || len(d.Warnings) != 0 {
		t.Errorf("got %q, %q", d.ClassNames, d.Warnings)
	}
	counts := make([]int, 7)
	for _, l := range d.Labels(d.Indices(Test)) {
		counts[l]++
	}
	if !slices.Equal(counts, []int{45, 77, 160, 16, 165, 962, 24}) {
		t.Errorf("test classes: %v", counts)
	}
	img, err := d.Decode(0)
	if err != nil || img.Width != 200 || img.Height != 150 {
		t.Fatalf("got %v, %v", img, err)
	}
	mask, err := d.DecodeMask(0)
	if err != nil || mask.Width != 600 || mask.Height != 450 {
		t.Fatalf("got %v, %v", mask, err)
	}
}
