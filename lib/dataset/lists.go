package dataset

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"libdsl/lib/errs"
)

// ReadLists reads the lists of training and test images that the method's authors publish with their code: a header
// line, then
//
//	image_id class_id path
//
// per line, with spaces between; class_id counts from 1, so its label is one less and its name "class 1"; path is
// relative to folder and stays in it. Images are not opened, and need not be there until they are used. There is no
// validation split: training holds one out.
//
// Lists name no groups. Two rules find them: a folder patientN in the path (MURA), and the lesions of
// ISIC_2019_Training_Metadata.csv when that file is in folder.
// Errors: NotFound, IO; Invalid, with the line, for anything else, such as an image in both lists.
func ReadLists(train, test, folder string) (*Dataset, error) {
	l := lists{folder: folder, out: newBuilder(), seen: map[string]string{}}
	if exists(filepath.Join(folder, isicMetadata)) {
		var err error
		if l.lesions, err = readLesions(&reading{published: &isic2019, root: folder}); err != nil {
			return nil, err
		}
	}
	for _, one := range []struct {
		path  string
		split Split
	}{{train, Train}, {test, Test}} {
		if !exists(one.path) {
			return nil, errs.New(errs.NotFound, "dataset: list %q: there is no such file", filepath.Base(one.path))
		}
		err := eachLine(one.path, func(n int, text string) error {
			if bad := l.line(n, text, one.split); bad != "" {
				return errs.New(errs.Invalid, "dataset: list %q line %d: %s", filepath.Base(one.path), n, bad)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return l.out.finish(filepath.Base(train))
}

type lists struct {
	folder  string
	lesions map[string]string
	out     *builder
	seen    map[string]string // path to where it was named first
}

// line takes a line; what it returns is wrong with it.
func (l *lists) line(n int, text string, split Split) string {
	if !utf8.ValidString(text) {
		return "got text that is not UTF-8"
	}
	if n == 1 {
		if strings.Join(strings.Fields(text), " ") != "image_id class_id path" {
			return fmt.Sprintf("got the header %q, want image_id class_id path", text)
		}
		return ""
	}
	_, rest, _ := strings.Cut(text, " ")
	number, file, _ := strings.Cut(strings.TrimSpace(rest), " ") // a path may hold spaces
	if file = strings.TrimSpace(file); file == "" {
		return "got too few words, want image_id class_id path"
	}
	file = path.Clean(file)
	class, err := strconv.Atoi(number)
	if err != nil || class < 1 || class > maxLabel+1 {
		return fmt.Sprintf("got the class %q, want an integer from 1 to %d", number, maxLabel+1)
	}
	if !filepath.IsLocal(file) {
		return fmt.Sprintf("got the path of %q, which leaves the data set's folder", path.Base(file))
	}
	where := fmt.Sprintf("line %d of the %v list", n, split)
	if first, twice := l.seen[file]; twice {
		return fmt.Sprintf("got %q again, it is in %s already", path.Base(file), first)
	}
	l.seen[file] = where
	label := int64(class - 1)
	l.out.nameClass(label, fmt.Sprintf("class %d", class))
	at := filepath.Join(l.folder, filepath.FromSlash(file))
	l.out.d.Samples = append(l.out.d.Samples, Sample{Name: path.Base(file), Path: at, Label: label, Split: split,
		Group: l.out.groupNumber(l.group(file)), bytes: fileSize(at)})
	return ""
}

// group is what the path, or the lesions, say.
func (l *lists) group(file string) string {
	for dir := range strings.SplitSeq(path.Dir(file), "/") {
		if study := muraStudy.FindStringSubmatch(dir + "/study1_positive"); study != nil {
			return study[1]
		}
	}
	return l.lesions[strings.TrimSuffix(path.Base(file), path.Ext(file))]
}
