package dataset

import (
	"os"
	"slices"
	"strings"
)

// hamClasses are the values of dx.
var hamClasses = []string{"akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"}

// hamTables are the names that the metadata have: as published, and as Harvard Dataverse converts them.
var hamTables = []string{"HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab"}

// hamImages are the folders of images, and of both parts in one.
var hamImages = []string{"HAM10000_images_part_1", "HAM10000_images_part_2", "HAM10000_images"}

const hamMasks = "HAM10000_segmentations_lesion_tschandl"

// ham10000 is HAM10000: 10,015 dermoscopic images of 7 classes. The test set that was published later is left alone.
var ham10000 = published{
	name:  "HAM10000",
	parts: "HAM10000_metadata.csv and the folders HAM10000_images_part_1, HAM10000_images_part_2 (and " + hamMasks + " for the masks) in one folder",
	page:  "Harvard Dataverse, doi:10.7910/DVN/DBW86T",
	find:  func(dir string) string { return holding(append(slices.Clone(hamTables), hamImages...), dir) },
	read:  readHAM10000,
}

func readHAM10000(r *reading) error {
	name := hamTables[0]
	for _, other := range hamTables[1:] {
		if !exists(r.at(name)) && exists(r.at(other)) {
			name = other
		}
	}
	folderOf, err := hamFolders(r)
	if err != nil {
		return err
	}
	t, err := r.table(name, "lesion_id", "image_id", "dx")
	if err != nil {
		return err
	}
	defer t.close()
	for label, class := range hamClasses {
		r.out.nameClass(int64(label), class)
	}
	return t.each(func() error {
		id, err := r.imageID(t, "image_id")
		if err != nil {
			return err
		}
		label := slices.Index(hamClasses, t.cell("dx"))
		if label < 0 {
			return t.bad("got the dx %q, want one of %s", t.cell("dx"), strings.Join(hamClasses, ", "))
		}
		s := Sample{Path: r.at(folderOf[id+".jpg"], id+".jpg"), Label: int64(label), Group: r.out.groupNumber(t.cell("lesion_id"))}
		if mask := r.at(hamMasks, id+"_segmentation.png"); exists(mask) {
			s.Mask = mask
		}
		r.add(s)
		return nil
	})
}

// hamFolders finds the folder of each image. Mirrors write the folders' names in small letters.
func hamFolders(r *reading) (map[string]string, error) {
	entries, err := os.ReadDir(r.root)
	if err != nil {
		return nil, sourceError(r.name, err)
	}
	folderOf := map[string]string{}
	for _, e := range entries {
		if !slices.ContainsFunc(hamImages, func(name string) bool { return strings.EqualFold(name, e.Name()) }) {
			continue
		}
		files, err := r.images(e.Name())
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			folderOf[f] = e.Name()
		}
	}
	return folderOf, nil
}
