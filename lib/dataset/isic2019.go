package dataset

import (
	"strconv"
	"strings"
)

const (
	isicTruth    = "ISIC_2019_Training_GroundTruth.csv"
	isicMetadata = "ISIC_2019_Training_Metadata.csv"
	isicImages   = "ISIC_2019_Training_Input"
)

// isicClasses are the columns of the ground truth; UNK has no training image.
var isicClasses = []string{"MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"}

// isic2019 is the training set of the ISIC 2019 challenge: 25,331 dermoscopic images of 8 classes. The published test
// images have another distribution and a class of their own, so they are left alone.
var isic2019 = published{
	name:  "ISIC 2019",
	parts: isicTruth + ", " + isicMetadata + " and the unpacked " + isicImages + ".zip in one folder",
	page:  "challenge.isic-archive.com/data/#2019",
	find:  func(dir string) string { return holding([]string{isicTruth, isicImages}, dir) },
	read:  readISIC2019,
}

func readISIC2019(r *reading) error {
	if !exists(r.at(isicImages)) {
		return r.missing(isicImages)
	}
	lesions, err := readLesions(r)
	if err != nil {
		return err
	}
	t, err := r.table(isicTruth, append([]string{"image"}, isicClasses[:8]...)...)
	if err != nil {
		return err
	}
	defer t.close()
	for label, name := range isicClasses[:8] {
		r.out.nameClass(int64(label), name)
	}
	return t.each(func() error {
		id, err := r.imageID(t, "image")
		if err != nil {
			return err
		}
		label, err := oneHot(t, isicClasses)
		if err != nil {
			return err
		}
		lesion, known := lesions[id]
		if !known {
			return t.bad("got the image %q, which %s does not have", id, isicMetadata)
		}
		r.out.nameClass(label, isicClasses[label])
		r.add(Sample{Path: r.at(isicImages, id+".jpg"), Label: label, Group: r.out.groupNumber(lesion)})
		return nil
	})
}

// readLesions gives the lesion of each image; many have none.
func readLesions(r *reading) (map[string]string, error) {
	t, err := r.table(isicMetadata, "image", "lesion_id")
	if err != nil {
		return nil, err
	}
	defer t.close()
	lesions := map[string]string{}
	return lesions, t.each(func() error {
		id := t.cell("image")
		if had, twice := lesions[id]; twice && had != t.cell("lesion_id") {
			return t.bad("got the lesion %q for the image %q, which is of %q in an earlier line", t.cell("lesion_id"), id, had)
		}
		lesions[id] = t.cell("lesion_id")
		return nil
	})
}

// oneHot is the position of the one column that is 1 in the current row; the others are 0.
func oneHot(t *table, columns []string) (int64, error) {
	var hot []string
	label := int64(0)
	for i, c := range columns {
		if !t.has(c) {
			continue
		}
		v, err := strconv.ParseFloat(t.cell(c), 64)
		if err != nil || v != 0 && v != 1 {
			return 0, t.bad("got %q for %s, want 0 or 1", t.cell(c), c)
		}
		if v == 1 {
			hot, label = append(hot, c), int64(i)
		}
	}
	if len(hot) != 1 {
		return 0, t.bad("got %d classes (%s), want one", len(hot), strings.Join(hot, ", "))
	}
	return label, nil
}
