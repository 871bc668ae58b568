package dataset

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
)

// ReadFolder reads a folder that holds one folder per class; classes and files are taken in sorted order, class folders
// are searched to any depth, and there are no splits (HoldOut makes them). What is not an image, judged by its
// extension or else its first bytes, is skipped and reported in Warnings; so is a class folder without images. Hidden
// folders (.git) are no classes. Images
// of formats that cannot be decoded are kept, so that Check names them.
// Errors: NotFound, IO; Invalid without any image, or when the folders are splits rather than classes.
func ReadFolder(dir string) (*Dataset, error) {
	name := filepath.Base(dir)
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, sourceError(name, err)
	}
	b, skipped := newBuilder(), []string{}
	label := int64(0)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		root, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, sourceError(e.Name(), err)
		}
		if st, err := os.Stat(root); err != nil {
			return nil, sourceError(e.Name(), err)
		} else if !st.IsDir() {
			skipped = append(skipped, e.Name())
			continue
		}
		files, others, err := imagesUnder(root)
		if err != nil {
			return nil, sourceError(e.Name(), err)
		}
		skipped = append(skipped, others...)
		if len(files) == 0 {
			b.d.Warnings = append(b.d.Warnings, fmt.Sprintf("folder %q: skipped the class folder %q, which has no images", name, e.Name()))
			continue
		}
		b.nameClass(label, e.Name())
		for _, path := range files {
			b.d.Samples = append(b.d.Samples, Sample{Name: filepath.Base(path), Path: path, Label: label, Group: NoGroup,
				bytes: fileSize(path)})
		}
		label++
	}
	if err := classesNotSplits(name, b.classes); err != nil {
		return nil, err
	}
	if len(skipped) > 0 {
		b.d.Warnings = append(b.d.Warnings, fmt.Sprintf("folder %q: skipped %d files that are no images: %s", name, len(skipped), firstOf(skipped)))
	}
	return b.finish(name)
}

// firstOf lists up to five names.
func firstOf(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", …"
}

// classesNotSplits catches the folder-per-split layout, which would silently train on "train" against "val".
func classesNotSplits(name string, classes map[int64]string) error {
	for _, class := range classes {
		if !slices.Contains([]string{"train", "training", "val", "valid", "validation", "test", "testing"}, strings.ToLower(class)) {
			return nil
		}
	}
	if len(classes) == 0 {
		return nil
	}
	return errs.New(errs.Invalid,
		"dataset: folder %q: got folders named like splits, want one folder per class; give the splits in a manifest CSV", name)
}

func imagesUnder(root string) (images, others []string, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		is, err := looksLikeImage(path)
		if is {
			images = append(images, path)
		} else if err == nil {
			others = append(others, e.Name())
		}
		return err
	})
	return images, others, err
}

// looksLikeImage goes by the extension, so that a damaged image is still an image, and else by the first bytes.
func looksLikeImage(path string) (bool, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".dcm":
		return true, nil
	}
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return false, err
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 132)
	n, err := io.ReadFull(f, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return imageio.Sniff(head[:n]) != imageio.Unknown, err
}
