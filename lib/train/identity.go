package train

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/internal/par"
)

// identity is what a run is: a checkpoint of another one is refused.
type identity struct {
	options map[string]string
	data    string // the dataset's hash
}

func (t *Trainer) identify() {
	hash := t.data.d.Hash()
	t.identity = identity{t.o.named(), hex.EncodeToString(hash[:])}
}

// check compares the run that a checkpoint is of with this one. Errors: Invalid, naming the option or the data.
func (id *identity) check(c *Checkpoint) error {
	if why := optionDifferences(c.options, id.options); why != "" {
		return errs.New(errs.Invalid, "train: resume: %s; start anew, or give the options of the run", why)
	}
	if c.data != id.data {
		return errs.New(errs.Invalid, "train: resume: data: got hash %.12s, want %.12s as in the checkpoint: the images, labels, splits or groups are not those of the run", id.data, c.data)
	}
	return nil
}

// notOfTheRun are options that do not decide on what is trained, and Init, of which only the weights do.
var notOfTheRun = []string{"Init", "Threads", "Workers", "Checkpoints"}

// named gives all other options by the names that users know. It goes through the fields of Options, so that no new one can be forgotten.
func (o *Options) named() map[string]string {
	out := map[string]string{"init": "none"}
	if o.Init != nil {
		h := sha256.New()
		for _, name := range slices.Sorted(maps.Keys(o.Init.Weights)) {
			h.Write([]byte(name))
			binary.Write(h, binary.LittleEndian, o.Init.Weights[name])
		}
		out["init"] = hex.EncodeToString(h.Sum(nil))
	}
	addFields(out, reflect.ValueOf(*o))
	return out
}

func addFields(out map[string]string, v reflect.Value) {
	for i := range v.NumField() {
		name, x := v.Type().Field(i).Name, reflect.Indirect(v.Field(i))
		switch {
		case slices.Contains(notOfTheRun, name):
		case x.Kind() == reflect.Struct:
			addFields(out, x)
		default:
			out[snake(name)] = fmt.Sprint(x.Interface())
		}
	}
}

// snake turns LearningRate into learning_rate.
func snake(name string) string {
	var out strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			out.WriteByte('_')
		}
		out.WriteRune(r)
	}
	return strings.ToLower(out.String())
}

// optionDifferences names the options that are not as they were; "" when all are.
func optionDifferences(was, now map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if old, ok := was[name]; !ok {
			out = append(out, fmt.Sprintf("option %q: got %s, and the checkpoint, of another version of libdsl, knows no such option", name, now[name]))
		} else if old != now[name] {
			out = append(out, fmt.Sprintf("option %q: got %s, want %s as in the checkpoint", name, now[name], old))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, ok := now[name]; !ok {
			out = append(out, fmt.Sprintf("option %q of the checkpoint is not known to this version of libdsl", name))
		}
	}
	return strings.Join(out, "; ")
}

// differences are the reasons why the results may differ from those of a run never stopped.
func (t *Trainer) differences(c *Checkpoint) ([]string, error) {
	var out []string
	for _, v := range []struct{ what, was, now string }{
		{"library version", c.version, t.o.Checkpoints.Version},
		{"device", c.device, t.backend.Device()},
		{"environment", c.environment, t.backend.Environment()},
		{"threads", fmt.Sprint(c.n.threads), fmt.Sprint(par.Threads(t.o.Threads))},
	} {
		if v.was != v.now {
			out = append(out, fmt.Sprintf("%s: got %q, was %q", v.what, v.now, v.was))
		}
	}
	chooser, ok := t.backend.(backend.Chooser)
	if !ok {
		return out, nil
	}
	different := len(out) > 0
	if t.o.Nondeterministic {
		out = append(out, "nondeterministic: kernels may add up in another order")
	}
	if different { // choices are of one device
		return out, nil
	}
	switch err := chooser.SetChoices(c.choices); errs.KindOf(err) {
	case errs.OK:
	case errs.Invalid:
		out = append(out, fmt.Sprintf("kernels: %v", err))
	default:
		return nil, err
	}
	return out, nil
}
