package dataset

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
)

const listHead = "image_id class_id path\n"

// readLists writes two lists beside a folder of images, and opens them.
func readLists(t *testing.T, train, test string) (*Dataset, error) {
	t.Helper()
	dir := t.TempDir()
	return ReadLists(write(t, filepath.Join(dir, "train.txt"), []byte(train)), write(t, filepath.Join(dir, "test.txt"), []byte(test)),
		filepath.Join(dir, "images"))
}

func TestListsAreReadWithoutTheirImages(t *testing.T) {
	d, err := readLists(t, listHead+"1 2 a/x.png\n2 1 a/with space.png\r\n\n3 2 MURA-v1.1/train/XR_HAND/patient00007/study1_positive/image1.png\n",
		listHead+"1 3 b/x.png\n4 1 MURA-v1.1/valid/XR_HAND/patient00008/study1_positive/image1.png\n")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Labels(d.Indices(Train)), []int64{1, 0, 1}) || !slices.Equal(d.Labels(d.Indices(Test)), []int64{2, 0}) {
		t.Errorf("got %+v", d.Samples)
	}
	if !slices.Equal(d.ClassNames, []string{"class 1", "class 2", "class 3"}) || d.Samples[1].Name != "with space.png" {
		t.Errorf("got %q, %q", d.ClassNames, d.Samples[1].Name)
	}
	if !slices.Equal(d.GroupNames, []string{"patient00007", "patient00008"}) || d.Samples[0].Group != NoGroup {
		t.Errorf("got the groups %q", d.GroupNames)
	}
	if _, err := d.Decode(0); errs.KindOf(err) != errs.NotFound {
		t.Errorf("an absent image that is used: got %v", err)
	}
}

func TestListsTakeTheLesionsOfISIC2019(t *testing.T) {
	f := miniISIC(2)
	f["train.txt"] = []byte(listHead + "1 1 ISIC_2019_Training_Input/ISIC_0000000_downsampled.jpg\n2 8 ISIC_2019_Training_Input/ISIC_0000002.jpg\n")
	f["test.txt"] = []byte(listHead + "3 1 ISIC_2019_Training_Input/ISIC_0000001.jpg\n")
	dir := f.lay(t)
	d, err := ReadLists(filepath.Join(dir, "train.txt"), filepath.Join(dir, "test.txt"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if d.Samples[0].Group != d.Samples[2].Group || d.Samples[0].Group == d.Samples[1].Group || d.Samples[0].Group == NoGroup {
		t.Errorf("got %+v", d.Samples)
	}
	if len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "1 groups") {
		t.Errorf("the lesion in both lists is not reported: %q", d.Warnings)
	}
}

func TestListsRefuse(t *testing.T) {
	good := listHead + "1 1 a.png\n"
	for _, c := range []struct{ name, train, want string }{
		{"nothing", "", "no images"},
		{"another header", "path,label\n", `train.txt" line 1: got the header`},
		{"no header", "1 1 b.png\n", `line 1: got the header "1 1 b.png"`},
		{"two words", listHead + "1 1\n", "line 2: got too few words"},
		{"a class of 0", listHead + "1 0 b.png\n", `line 2: got the class "0"`},
		{"a class in words", listHead + "1 nv b.png\n", `line 2: got the class "nv"`},
		{"a huge class", listHead + "1 65537 b.png\n", "from 1 to 65536"},
		{"a path that leaves the folder", listHead + "1 1 c/../../b.png\n", `"b.png", which leaves`},
		{"an absolute path", listHead + "1 1 /etc/b.png\n", `"b.png", which leaves`},
		{"an image twice", listHead + "1 1 b.png\n2 2 ./c/../b.png\n", `line 3: got "b.png" again, it is in line 2 of the train list`},
		{"text that is not UTF-8", listHead + "1 1 b\xff.png\n", "line 2: got text that is not UTF-8"},
		{"a long line", listHead + strings.Repeat("1", 1<<17), "train.txt"},
	} {
		test := good
		if c.train == "" {
			test = listHead
		}
		_, err := readLists(t, c.train, test)
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want Invalid with %q", c.name, err, c.want)
		}
	}
	if _, err := readLists(t, good, good); err == nil || !strings.Contains(err.Error(), "line 2 of the train list") {
		t.Errorf("an image in both lists: got %v", err)
	}
	if _, err := ReadLists("none.txt", "none.txt", "."); errs.KindOf(err) != errs.NotFound {
		t.Errorf("no list: got %v", err)
	}
}

// The counts that the paper gives for its data sets.
func TestTheAuthorsLists(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "splits")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the authors' lists are not here (../shared/data/splits)")
	}
	for _, c := range []struct {
		name                 string
		train, test, classes int
		groups               bool
	}{{"ISIC", 20000, 5331, 8, false}, {"MURA", 36808, 3197, 14, true}, {"HKVASIR", 8567, 2095, 23, false}} {
		d, err := ReadLists(filepath.Join(dir, c.name+"_train.txt"), filepath.Join(dir, c.name+"_test.txt"), t.TempDir())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if len(d.Indices(Train)) != c.train || len(d.Indices(Test)) != c.test || d.NumClasses() != c.classes || d.HasGroups() != c.groups || len(d.Warnings) != 0 {
			t.Errorf("%s: got %d training and %d test images of %d classes, groups %v, warnings %q, want %+v",
				c.name, len(d.Indices(Train)), len(d.Indices(Test)), d.NumClasses(), d.HasGroups(), d.Warnings, c)
		}
	}
}
