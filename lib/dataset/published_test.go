package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
)

// files is a data set in miniature: contents by path. A nil content is an image.
type files map[string][]byte

// lay writes them into a new folder.
func (f files) lay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range f {
		if data == nil {
			data = pngOf(t, uint8(len(name)))
		}
		write(t, filepath.Join(dir, filepath.FromSlash(name)), data)
	}
	return dir
}

const isicHeader = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"

// miniISIC has n images of each of MEL and SCC; two images are of one lesion.
func miniISIC(n int) files {
	truth, metadata := isicHeader, "image,age_approx,anatom_site_general,lesion_id,sex\n"
	f := files{}
	for i := range 2 * n {
		id := fmt.Sprintf("ISIC_%07d", i)
		if i%3 == 0 {
			id += "_downsampled"
		}
		hot := []string{"1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0", "0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0"}[i/n]
		truth += id + "," + hot + "\n"
		metadata += fmt.Sprintf("%s,55,head/neck,HAM_%07d,female\n", id, i/2)
		f[isicImages+"/"+id+".jpg"] = nil
	}
	f[isicTruth], f[isicMetadata] = []byte(truth), []byte(metadata)
	return f
}

func miniHAM(n int) files {
	f, text := files{}, "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
	for i := range 2 * n {
		text += fmt.Sprintf("HAM_%d,ISIC_%d,%s,histo,80.0,male,scalp\n", i/2, i, []string{"vasc", "bcc"}[i/n])
		f[fmt.Sprintf("HAM10000_images_part_%d/ISIC_%d.jpg", 1+i%2, i)] = nil
		if i%4 != 0 {
			f[fmt.Sprintf("%s/ISIC_%d_segmentation.png", hamMasks, i)] = nil
		}
	}
	f[hamTables[0]] = []byte(text)
	return f
}

func miniMURA() files {
	f := files{
		"train_image_paths.csv": nil, "valid_image_paths.csv": nil, "train_labeled_studies.csv": nil, "valid_labeled_studies.csv": nil,
		"valid/XR_WRIST/patient11185/study1_positive/._image1.png": []byte("an unpacked archive leaves these"),
	}
	lists := map[string]string{}
	for _, image := range []string{
		"train/XR_ELBOW/patient00001/study1_negative/image1.png", "train/XR_ELBOW/patient00001/study1_negative/image2.png",
		"train/XR_WRIST/patient00001/study2_positive/image1.png", "train/XR_HAND/patient00002/study1_negative/image1.png",
		"valid/XR_WRIST/patient11185/study1_positive/image1.png", "valid/XR_HAND/patient11186/study1_negative/image1.png",
	} {
		f[image] = nil
		split, study := image[:5], filepath.Dir(image)
		lists[split+"_image_paths.csv"] += "MURA-v1.1/" + image + "\n"
		positive := 0
		if strings.HasSuffix(study, "positive") {
			positive = 1
		}
		lists[split+"_labeled_studies.csv"] += fmt.Sprintf("MURA-v1.1/%s/,%d\n", study, positive)
	}
	for name, text := range lists {
		f[name] = []byte(text)
	}
	return f
}

func miniKvasir() files {
	f, text := files{}, "Video file,Organ,Finding,Classification\n"
	for c, class := range []string{"lower-gi-tract/pathological-findings/polyps", "lower-gi-tract/anatomical-landmarks/cecum", "upper-gi-tract/anatomical-landmarks/z-line"} {
		for i := range 5 {
			f[fmt.Sprintf("labeled-images/%s/%d-%d.jpg", class, c, i)] = nil
			text += fmt.Sprintf("%d-%d,Some GI,finding %d,some-class\n", c, i, c)
		}
	}
	f["labeled-images/"+kvasirLabels] = []byte(text)
	return f
}

// open reads a miniature, which must be whole, and checks what is true of each.
func open(t *testing.T, f files, size int) *Dataset {
	t.Helper()
	d, err := Open(f.lay(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Samples) != size || d.leakingGroups() != 0 || len(d.Indices(Test)) == 0 || len(d.Indices(Val)) != 0 {
		t.Errorf("got %d images, want %d, with some for the test, none for validation and no group in two splits: %+v", len(d.Samples), size, d.Samples)
	}
	for i := range d.Samples {
		if _, err := d.Decode(i); err != nil {
			t.Error(err)
		}
	}
	return d
}

func TestISIC2019IsReadByItsColumns(t *testing.T) {
	d := open(t, miniISIC(10), 20)
	if !slices.Equal(d.ClassNames, isicClasses[:8]) || d.Samples[0].Label != 0 || d.Samples[19].Label != 7 {
		t.Errorf("got the classes %q, labels %d and %d", d.ClassNames, d.Samples[0].Label, d.Samples[19].Label)
	}
	if len(d.GroupNames) != 10 || d.Samples[2].Group != d.Samples[3].Group || len(d.Indices(Test)) != 4 {
		t.Errorf("got %d lesions, %d test images", len(d.GroupNames), len(d.Indices(Test)))
	}
	again := open(t, miniISIC(10), 20)
	if !slices.Equal(again.Indices(Test), d.Indices(Test)) {
		t.Error("the test split differs between two readings")
	}
}

func TestHAM10000IsReadByItsColumns(t *testing.T) {
	d := open(t, miniHAM(10), 20)
	if !slices.Equal(d.ClassNames, hamClasses) || d.Samples[0].Label != 6 || d.Samples[10].Label != 1 || len(d.GroupNames) != 10 {
		t.Errorf("got %q and %+v", d.ClassNames, d.Samples)
	}
	if d.Samples[0].Mask != "" || filepath.Base(d.Samples[1].Mask) != "ISIC_1_segmentation.png" {
		t.Errorf("got the masks %q and %q", d.Samples[0].Mask, d.Samples[1].Mask)
	}
	tabs, mirror := miniHAM(10), files{}
	tabs["HAM10000_metadata.tab"] = []byte(strings.ReplaceAll(string(tabs[hamTables[0]]), ",", "\t"))
	delete(tabs, hamTables[0])
	for name, data := range tabs {
		mirror[strings.Replace(name, "HAM10000_images", "ham10000_images", 1)] = data
	}
	if other := open(t, mirror, 20); !slices.Equal(other.Labels(other.Indices(Test)), d.Labels(d.Indices(Test))) {
		t.Error("the table with tabs, and folders in small letters, are read in another way")
	}
}

func TestMURAIsReadByItsFolders(t *testing.T) {
	d := open(t, miniMURA(), 6)
	if len(d.ClassNames) != 14 || d.ClassNames[0] != "elbow normal" || d.ClassNames[13] != "wrist abnormal" {
		t.Errorf("got %q", d.ClassNames)
	}
	if got := d.Labels(d.Indices(Train)); !slices.Equal(got, []int64{0, 0, 6, 13}) || !slices.Equal(d.Labels(d.Indices(Test)), []int64{6, 13}) {
		t.Errorf("got the labels %v", got)
	}
	if s := d.Samples; s[0].Group != s[3].Group || s[0].Group == s[2].Group || len(d.GroupNames) != 4 {
		t.Errorf("the patient is not the group: %+v", s)
	}
	above := files{}
	for name, data := range miniMURA() {
		above["MURA-v1.1/"+name] = data
	}
	open(t, above, 6)
}

func TestHyperKvasirIsReadByItsFolders(t *testing.T) {
	d := open(t, miniKvasir(), 15)
	if !slices.Equal(d.ClassNames, []string{"cecum", "polyps", "z-line"}) || d.HasGroups() || len(d.Indices(Test)) != 3 {
		t.Errorf("got %q, %d groups, %d test images", d.ClassNames, len(d.GroupNames), len(d.Indices(Test)))
	}
	bare := files{}
	for name, data := range miniKvasir() {
		bare[strings.TrimPrefix(name, "labeled-images/")] = data
	}
	delete(bare, kvasirLabels) // optional
	open(t, bare, 15)
}

// edit is a data set with a change.
func (f files) edit(name string, change func(string) string) files {
	f[name] = []byte(change(string(f[name])))
	return f
}

func (f files) without(prefix string) files {
	for name := range f {
		if strings.HasPrefix(name, prefix) {
			delete(f, name)
		}
	}
	return f
}

func (f files) with(name string) files {
	f[name] = nil
	return f
}

func swap(old, new string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, new, 1) }
}

func twice(line int) func(string) string {
	return func(s string) string { return s + strings.Split(s, "\n")[line] + "\n" }
}

func TestPublishedDataSetsThatAreNotWhole(t *testing.T) {
	const first = "1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0"
	for _, c := range []struct {
		name  string
		files files
		kind  errs.Kind
		wants []string
	}{
		{"ISIC without labels", miniISIC(3).without(isicTruth), errs.NotFound, []string{"lacks " + isicTruth, "challenge.isic-archive.com", "in one folder"}},
		{"ISIC without lesions", miniISIC(3).without(isicMetadata), errs.NotFound, []string{"lacks " + isicMetadata}},
		{"ISIC without images", miniISIC(3).without(isicImages), errs.NotFound, []string{"lacks " + isicImages}},
		{"ISIC with an image that is absent", miniISIC(3).without(isicImages + "/ISIC_0000001.jpg"), errs.NotFound, []string{"1 images", "ISIC_0000001.jpg"}},
		{"ISIC without a column", miniISIC(3).edit(isicTruth, swap("VASC", "VASK")), errs.Invalid, []string{`without a column "VASC"`}},
		{"ISIC with two labels in a row", miniISIC(3).edit(isicTruth, swap(first, "1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0")), errs.Invalid, []string{"line 2", "MEL, NV"}},
		{"ISIC with no label in a row", miniISIC(3).edit(isicTruth, swap(first, "0,0,0,0,0,0,0,0,0")), errs.Invalid, []string{"line 2", "got 0 classes"}},
		{"ISIC with a share for a label", miniISIC(3).edit(isicTruth, swap(first, "0.5,0,0,0,0,0,0,0,0")), errs.Invalid, []string{"line 2", `"0.5" for MEL`}},
		{"ISIC with an image twice", miniISIC(3).edit(isicTruth, twice(2)), errs.Invalid, []string{"ISIC_0000001", "line 3 and again in line 8"}},
		{"ISIC with text that is not UTF-8", miniISIC(3).edit(isicTruth, swap("ISIC_0000001", "ISIC_\xff")), errs.Invalid, []string{"line 3", "UTF-8"}},
		{"ISIC with a path", miniISIC(3).edit(isicTruth, swap("ISIC_0000001", "../ISIC_0000001")), errs.Invalid, []string{"line 3", "without folders"}},
		{"ISIC with an image of no lesion's table", miniISIC(3).edit(isicMetadata, swap("ISIC_0000001", "ISIC_1")), errs.Invalid, []string{"line 3", isicMetadata}},
		{"ISIC with an image of two lesions", miniISIC(3).edit(isicMetadata, func(s string) string { return s + "ISIC_0000001,1,a,HAM_9,male\n" }), errs.Invalid, []string{"line 8", "HAM_9"}},
		{"ISIC with an empty table", miniISIC(3).edit(isicTruth, func(string) string { return "" }), errs.Invalid, []string{"empty file"}},
		{"ISIC of one class", miniISIC(3).edit(isicTruth, func(s string) string { return strings.Join(strings.SplitAfter(s, "\n")[:4], "") }), errs.Invalid, []string{"2 classes"}},

		{"HAM10000 without the table", miniHAM(3).without(hamTables[0]), errs.NotFound, []string{"lacks HAM10000_metadata.csv", "Dataverse"}},
		{"HAM10000 without a part", miniHAM(3).without(hamImages[1]), errs.NotFound, []string{"3 images", "ISIC_1.jpg"}},
		{"HAM10000 without a column", miniHAM(3).edit(hamTables[0], swap("lesion_id", "lesion")), errs.Invalid, []string{`"lesion_id"`}},
		{"HAM10000 with a dx in words", miniHAM(3).edit(hamTables[0], swap("vasc", "Vascular lesions")), errs.Invalid, []string{"line 2", "akiec, bcc"}},
		{"HAM10000 with an image twice", miniHAM(3).edit(hamTables[0], func(s string) string { return s + "HAM_9,ISIC_0,nv,histo,1,male,back\n" }), errs.Invalid, []string{"ISIC_0", "line 2 and again in line 8"}},

		{"MURA without valid", miniMURA().without("valid/"), errs.NotFound, []string{"lacks the folder valid", "stanfordmlgroup"}},
		{"MURA with an image that is absent", miniMURA().without("train/XR_HAND/"), errs.NotFound, []string{"1 images", "image1.png"}},
		{"MURA with a patient in both splits", miniMURA().with("valid/XR_HAND/patient00001/study1_negative/image1.png"), errs.Invalid, []string{"1 groups in more than one split"}},
		{"MURA with an unknown part", miniMURA().with("train/XR_KNEE/patient00009/study1_negative/image1.png"), errs.Invalid, []string{`"XR_KNEE"`, "XR_ELBOW"}},
		{"MURA with a study without a label", miniMURA().with("train/XR_HAND/patient00009/study1/image1.png"), errs.Invalid, []string{"patient00009/study1", "studyN_positive"}},
		{"MURA with a list that contradicts a folder", miniMURA().edit("train_labeled_studies.csv", swap(",0", ",1")), errs.Invalid, []string{"line 1", "study1_negative"}},
		{"MURA with a list that leaves the folder", miniMURA().edit("train_image_paths.csv", swap("MURA-v1.1/train", "MURA-v1.1/../../train")), errs.Invalid, []string{"line 1", "leaves the folder"}},
		{"MURA with a list of one long line", miniMURA().edit("train_image_paths.csv", func(string) string { return strings.Repeat("x", 1<<17) }), errs.Invalid, []string{"train_image_paths.csv"}},

		{"HyperKvasir without a tract", miniKvasir().without("labeled-images/upper"), errs.NotFound, []string{"lacks the folder upper-gi-tract", "datasets.simula.no"}},
		{"HyperKvasir with an image that is absent", miniKvasir().without("labeled-images/lower-gi-tract/pathological-findings/polyps/0-3"), errs.NotFound, []string{"1 images", "0-3.jpg"}},
		{"HyperKvasir with an image in two classes", miniKvasir().with("labeled-images/lower-gi-tract/anatomical-landmarks/ileum/0-1.jpg"), errs.Invalid, []string{`"0-1"`, "ileum", "polyps"}},
		{"HyperKvasir with a finding in two folders", miniKvasir().edit("labeled-images/"+kvasirLabels, swap("0-1,Some GI,finding 0", "0-1,Some GI,finding 1")), errs.Invalid, []string{"cecum", "polyps"}},
		{"HyperKvasir with two findings for an image", miniKvasir().edit("labeled-images/"+kvasirLabels, func(s string) string { return s + "0-1,x,finding 1,x\n" }), errs.Invalid, []string{"line 17", "finding 0"}},
		{"HyperKvasir without a column", miniKvasir().edit("labeled-images/"+kvasirLabels, swap("Finding", "Found")), errs.Invalid, []string{`"finding"`}},
	} {
		dir := c.files.lay(t)
		_, err := Open(dir)
		if errs.KindOf(err) != c.kind {
			t.Errorf("%s: got %v, want the kind %v", c.name, err, c.kind)
			continue
		}
		for _, want := range c.wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want it to say %q", c.name, err, want)
			}
		}
		if strings.Contains(err.Error(), filepath.Dir(dir)) {
			t.Errorf("%s: the message gives the folder away: %v", c.name, err)
		}
	}
}

func TestOtherFoldersAreNoPublishedDataSet(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "train", "a.png"), pngOf(t, 1))
	if err := os.MkdirAll(filepath.Join(dir, "labeled-images"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, is, err := ReadPublished(dir); is || err != nil {
		t.Errorf("got %v, %v", is, err)
	}
}

func TestAManifestReadsBackAsTheSameDataSet(t *testing.T) {
	d := open(t, miniMURA(), 6)
	d.Samples[0].Mask = "/masks/1.png"
	text := d.Manifest()
	again, err := ReadManifest(write(t, filepath.Join(t.TempDir(), "m.csv"), text))
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Manifest(); !slices.Equal(got, text) || again.Samples[3].Group != again.Samples[0].Group || again.Samples[0].bytes < 1 {
		t.Errorf("got\n%s, want\n%s", got, text)
	}
	if text := string(drawn(t, 1, 1).Manifest()); text != "path,label,class_name,mask,split,group\n,0,0,,train,\n" {
		t.Errorf("a picture in memory gives %q", text)
	}
}
