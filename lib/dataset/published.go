package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"libdsl/lib/errs"
)

// published is a data set as its authors give it away. Images that it names and that are not there are an error: the
// download is not complete, and scores of a part would pass for scores of the whole.
type published struct {
	name  string
	parts string                         // what to download, and where it belongs
	page  string                         // from where
	find  func(dir string) (root string) // the data set's own folder, at or below dir; "" when this is not it
	read  func(r *reading) error         // fills r.out; the test split is drawn when there is none
}

// allPublished is what ReadPublished knows, in the order of asking.
var allPublished = []*published{&isic2019, &ham10000, &mura, &hyperKvasir}

// ReadPublished reads a data set as its authors distribute it, which is told by names of files, from its folder or
// the one above. is says whether the folder is one of them:
//
//	ISIC 2019    classes by the one-hot columns, groups are lesions
//	HAM10000     classes by dx in alphabetical order, groups are lesions, masks when they are there
//	MURA         7 body parts × normal, abnormal; groups are patients; valid is the test split
//	HyperKvasir  classes by folder in alphabetical order, no groups
//
// Where the authors publish no test split with labels, a share of DefaultTestShare is drawn by HoldOut, always with
// seed 0, so that it is the same everywhere. None has a validation split: training holds one out.
// Errors: NotFound for what is missing, with where to get it; Invalid for contradictions; IO.
func ReadPublished(dir string) (d *Dataset, is bool, err error) {
	for _, p := range allPublished {
		if root := p.find(dir); root != "" {
			r := &reading{published: p, root: root, out: newBuilder(), seen: map[string]string{}}
			d, err := r.run()
			return d, true, err
		}
	}
	return nil, false, nil
}

// reading is one published data set on its way in.
type reading struct {
	*published
	root   string
	out    *builder
	seen   map[string]string // image id to where it was named first
	absent []string          // images that are named but not there
}

func (r *reading) run() (*Dataset, error) {
	if err := r.read(r); err != nil {
		return nil, err
	}
	if n := len(r.absent); n > 0 {
		return nil, r.missing(fmt.Sprintf("%d images that it names (%s)", n, firstOf(r.absent)))
	}
	d, err := r.out.finish(r.name)
	if err != nil {
		return nil, err
	}
	if n := d.leakingGroups(); n > 0 {
		return nil, errs.New(errs.Invalid, "dataset: %s %q: got %d groups in more than one split, want none; this is not the published data",
			r.name, filepath.Base(r.root), n)
	}
	if len(d.Indices(Test)) == 0 {
		err = d.HoldOut(0, 0, DefaultTestShare)
	}
	return d, err
}

// missing is the error for a part that is not there.
func (r *reading) missing(what string) error {
	return errs.New(errs.NotFound, "dataset: %s %q: lacks %s, want %s; they can be downloaded from %s",
		r.name, filepath.Base(r.root), what, r.parts, r.page)
}

// at is the path of a part of the data set.
func (r *reading) at(parts ...string) string {
	return filepath.Join(append([]string{r.root}, parts...)...)
}

// table opens a CSV file of the data set.
func (r *reading) table(name string, columns ...string) (*table, error) {
	if !exists(r.at(name)) {
		return nil, r.missing(name)
	}
	return openTable(r.name, r.at(name), strings.Join(columns, ","), columns...)
}

// once refuses an image id that was named before. where is its line or folder.
func (r *reading) once(id, where string) error {
	if first, twice := r.seen[id]; twice {
		return errs.New(errs.Invalid, "dataset: %s: got the image %q in %s and again in %s, want one label for each image", r.name, id, first, where)
	}
	r.seen[id] = where
	return nil
}

// imageID checks that the current row of t names an image once, and by a plain name.
func (r *reading) imageID(t *table, column string) (string, error) {
	id := t.cell(column)
	if id == "" || id != filepath.Base(id) || id == ".." {
		return "", t.bad("got the %s %q, want a name without folders", column, id)
	}
	return id, r.once(id, fmt.Sprintf("line %d", t.line))
}

// add takes an image; its file must be there.
func (r *reading) add(s Sample) {
	s.Name, s.bytes = filepath.Base(s.Path), fileSize(s.Path)
	if s.bytes < 0 {
		r.absent = append(r.absent, s.Name)
		return
	}
	r.out.d.Samples = append(r.out.d.Samples, s)
}

// folders lists the folders in a folder of the data set, sorted; hidden ones are left out.
func (r *reading) folders(parts ...string) ([]string, error) {
	return r.list(true, parts)
}

// images lists the image files in a folder of the data set, sorted; hidden files are left out, others too.
func (r *reading) images(parts ...string) ([]string, error) {
	files, err := r.list(false, parts)
	kept := files[:0]
	for _, f := range files {
		switch strings.ToLower(filepath.Ext(f)) {
		case ".jpg", ".jpeg", ".png":
			kept = append(kept, f)
		}
	}
	return kept, err
}

func (r *reading) list(folders bool, parts []string) ([]string, error) {
	entries, err := os.ReadDir(r.at(parts...)) // sorted
	if err != nil {
		return nil, sourceError(filepath.Base(r.at(parts...)), err)
	}
	var names []string
	for _, e := range entries {
		st, err := os.Stat(r.at(append(parts[:len(parts):len(parts)], e.Name())...)) // through links
		if err == nil && st.IsDir() == folders && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// holding is the first of the folders that has one of the named entries.
func holding(names []string, folders ...string) string {
	for _, dir := range folders {
		for _, name := range names {
			if exists(filepath.Join(dir, name)) {
				return dir
			}
		}
	}
	return ""
}
