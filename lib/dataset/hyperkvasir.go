package dataset

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// kvasirTracts are the folders of labelled images, by part of the gut.
var kvasirTracts = []string{"lower-gi-tract", "upper-gi-tract"}

const kvasirLabels = "image-labels.csv"

// hyperKvasir is the labelled part of HyperKvasir: 10,662 endoscopic images of 23 classes, told by their folders. It
// says nothing of patients, so there are no groups. image-labels.csv is optional, and compared with the folders where it is.
var hyperKvasir = published{
	name:  "HyperKvasir",
	parts: "the folders lower-gi-tract and upper-gi-tract of the unpacked hyper-kvasir-labeled-images.zip",
	page:  "datasets.simula.no/hyper-kvasir",
	find: func(dir string) string {
		return holding(kvasirTracts, dir, filepath.Join(dir, "labeled-images"))
	},
	read: readHyperKvasir,
}

func readHyperKvasir(r *reading) error {
	var classes []string // paths: tract/category/class
	for _, tract := range kvasirTracts {
		if !exists(r.at(tract)) {
			return r.missing("the folder " + tract)
		}
		categories, err := r.folders(tract)
		if err != nil {
			return err
		}
		for _, category := range categories {
			names, err := r.folders(tract, category)
			if err != nil {
				return err
			}
			for _, name := range names {
				classes = append(classes, path.Join(tract, category, name))
			}
		}
	}
	slices.SortFunc(classes, func(a, b string) int {
		return cmp.Or(strings.Compare(path.Base(a), path.Base(b)), strings.Compare(a, b))
	})
	for label, class := range classes {
		r.out.nameClass(int64(label), path.Base(class))
		files, err := r.images(class)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := r.once(strings.TrimSuffix(f, filepath.Ext(f)), class); err != nil {
				return err
			}
			r.add(Sample{Path: r.at(class, f), Label: int64(label), Group: NoGroup})
		}
	}
	return checkKvasirLabels(r)
}

// checkKvasirLabels compares the table with the folders: its images must be there, those of one finding in one folder.
// Findings need not be spelt as folders are.
func checkKvasirLabels(r *reading) error {
	if !exists(r.at(kvasirLabels)) {
		return nil
	}
	t, err := r.table(kvasirLabels, "video file", "finding")
	if err != nil {
		return err
	}
	defer t.close()
	folderOf, findingOf := map[string]string{}, map[string]string{}
	return t.each(func() error {
		id, finding := t.cell("video file"), t.cell("finding")
		if had, twice := findingOf[id]; twice && had != finding {
			return t.bad("got the finding %q for %q, which an earlier line calls %q", finding, id, had)
		}
		findingOf[id] = finding
		folder, there := r.seen[id]
		if !there {
			r.absent = append(r.absent, id+".jpg")
			return nil
		}
		if had, known := folderOf[finding]; known && had != folder {
			return t.bad("got the finding %q for %q in the folder %q; earlier images with that finding are in %q", finding, id, path.Base(folder), path.Base(had))
		}
		folderOf[finding] = folder
		return nil
	})
}
