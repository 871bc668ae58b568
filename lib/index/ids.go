package index

import (
	"strconv"

	"libdsl/lib/errs"
)

// IDs name rows, by texts or by numbers: one of the two is nil. They are what the user gives, and mean nothing here.
type IDs struct {
	Texts   []string // at most 1023 bytes of UTF-8 each
	Numbers []int64
}

// Len is the number of ids.
func (d IDs) Len() int { return max(len(d.Texts), len(d.Numbers)) }

// check sees that there are n ids, or none.
func (d IDs) check(n int) error {
	if d.Texts != nil && d.Numbers != nil {
		return errs.New(errs.Invalid, "index: ids: got texts and numbers, want one of them")
	}
	if d.Len() != 0 && d.Len() != n {
		return errs.New(errs.Invalid, "index: got %d ids for %d rows", d.Len(), n)
	}
	return checkTexts("id", d.Texts)
}

// same reports whether id i is id j of e.
func (d IDs) same(i int, e IDs, j int) bool {
	if d.Texts != nil {
		return d.Texts[i] == e.Texts[j]
	}
	return d.Numbers[i] == e.Numbers[j]
}

// numbered are the ids first to first+n-1.
func numbered(first, n int) IDs {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(first + i)
	}
	return IDs{Numbers: ids}
}

// Item is what is known of a row.
type Item struct {
	ID    string // numbers in decimal digits
	Label int64  // NoLabel for none
	Group string // "" for none
}

// Item describes a row, counted from 0 in the order of adding. Errors: errs.NotFound.
func (x *Index) Item(row int) (Item, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if row < 0 || row >= len(x.labels) {
		return Item{}, errs.New(errs.NotFound, "index: got row %d of %d", row, len(x.labels))
	}
	it := Item{Label: x.labels[row], Group: x.groups[row]}
	if x.ids.Texts != nil {
		it.ID = x.ids.Texts[row]
	} else {
		it.ID = strconv.FormatInt(x.ids.Numbers[row], 10)
	}
	return it, nil
}

// TextIDs reports whether ids are texts; an empty index has numbers.
func (x *Index) TextIDs() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.ids.Texts != nil
}
