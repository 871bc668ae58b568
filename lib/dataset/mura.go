package dataset

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"libdsl/lib/errs"
)

// muraParts are the folders of a split, in the order of the labels: 2·part for normal, 2·part + 1 for abnormal.
var muraParts = []string{"XR_ELBOW", "XR_FINGER", "XR_FOREARM", "XR_HAND", "XR_HUMERUS", "XR_SHOULDER", "XR_WRIST"}

// mura is MURA v1.1: 36,808 training and 3,197 validation images of 14 classes. Its test set is not public, so what it
// calls valid is the test split, as in the literature. A folder says what its study is; the CSV files are optional, and
// checked against the folders where they are.
var mura = published{
	name:  "MURA",
	parts: "the folders train and valid of the unpacked MURA-v1.1.zip",
	page:  "stanfordmlgroup.github.io/competitions/mura",
	find:  findMURA,
	read:  readMURA,
}

func findMURA(dir string) string {
	for _, root := range []string{dir, filepath.Join(dir, "MURA-v1.1")} {
		if holding(muraParts, filepath.Join(root, "train"), filepath.Join(root, "valid")) != "" {
			return root
		}
	}
	return ""
}

// muraStudy is the folder of a study, below the body part's.
var muraStudy = regexp.MustCompile(`^(patient[0-9]+)/study[0-9]+_(positive|negative)$`)

func readMURA(r *reading) error {
	for i, name := range muraParts {
		name = strings.ToLower(strings.TrimPrefix(name, "XR_"))
		r.out.nameClass(int64(2*i), name+" normal")
		r.out.nameClass(int64(2*i+1), name+" abnormal")
	}
	for _, s := range []struct {
		folder string
		split  Split
	}{{"train", Train}, {"valid", Test}} {
		if !exists(r.at(s.folder)) {
			return r.missing("the folder " + s.folder)
		}
		parts, err := r.folders(s.folder)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if err := readMURAPart(r, path.Join(s.folder, part), s.split); err != nil {
				return err
			}
		}
		if err := checkMURALists(r, s.folder); err != nil {
			return err
		}
	}
	return nil
}

// readMURAPart reads the patients' studies of a body part.
func readMURAPart(r *reading, dir string, split Split) error {
	part := slices.Index(muraParts, path.Base(dir))
	if part < 0 {
		return errs.New(errs.Invalid, "dataset: %s: got the folder %q, want one of %s", r.name, path.Base(dir), strings.Join(muraParts, ", "))
	}
	patients, err := r.folders(dir)
	if err != nil {
		return err
	}
	for _, patient := range patients {
		studies, err := r.folders(dir, patient)
		if err != nil {
			return err
		}
		for _, study := range studies {
			found := muraStudy.FindStringSubmatch(path.Join(patient, study))
			if found == nil {
				return errs.New(errs.Invalid, "dataset: %s: got the folder %q, want patientN/studyN_positive or patientN/studyN_negative",
					r.name, path.Join(patient, study))
			}
			files, err := r.images(dir, patient, study)
			if err != nil {
				return err
			}
			label := int64(2 * part)
			if found[2] == "positive" {
				label++
			}
			for _, f := range files {
				r.seen[path.Join(dir, patient, study, f)] = f
				r.add(Sample{Path: r.at(dir, patient, study, f), Label: label, Split: split, Group: r.out.groupNumber(patient)})
			}
		}
	}
	return nil
}

// checkMURALists compares the split's CSV files, which have no header, with the folders: an image in each line of one,
// "folder of a study,1 or 0" in the other, both below MURA-v1.1.
func checkMURALists(r *reading, split string) error {
	images := split + "_image_paths.csv"
	err := eachLine(r.at(images), func(line int, text string) error {
		_, file, _ := strings.Cut(strings.TrimSuffix(text, ","), "/")
		if !filepath.IsLocal(file) {
			return errs.New(errs.Invalid, "dataset: %s %q line %d: got a path that leaves the folder", r.name, images, line)
		}
		if r.seen[file] == "" {
			r.absent = append(r.absent, path.Base(file))
		}
		return nil
	})
	if err != nil {
		return err
	}
	studies := split + "_labeled_studies.csv"
	return eachLine(r.at(studies), func(line int, text string) error {
		study, label, _ := strings.Cut(text, ",")
		study = path.Base(strings.TrimSuffix(study, "/"))
		if positive := strings.HasSuffix(study, "_positive"); label != "0" && label != "1" || positive != (label == "1") {
			return errs.New(errs.Invalid, "dataset: %s %q line %d: got the label %q for the study %q, want 1 for positive and 0 for negative",
				r.name, studies, line, label, study)
		}
		return nil
	})
}

// eachLine goes through a text file, which need not be there; empty lines are skipped.
func eachLine(file string, do func(line int, text string) error) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return sourceError(filepath.Base(file), err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		if err := do(n, text); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return errs.New(errs.Invalid, "dataset: list %q: got something that is no text file with short lines (%v)", filepath.Base(file), err)
	}
	return nil
}
