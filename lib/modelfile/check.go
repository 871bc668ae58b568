package modelfile

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"libdsl/lib/errs"
	"libdsl/lib/model"
)

// Check says what is wrong with f, or nil: the rules that Write and Read hold it to. Call it early, so that a name that
// no file can hold is not found after hours of training. Errors: errs.Invalid.
func (f *File) Check() error {
	if err := f.check(); err != nil {
		return errs.Wrap(errs.Invalid, err, "modelfile")
	}
	return nil
}

func (f *File) check() error {
	checks := []func() error{f.Arch.check, f.Preprocess.check, f.checkClasses, f.checkLearners,
		func() error { return checkTensors(f.Tensors, false) }, f.Card.check, f.checkRanges}
	if f.Checkpoint != nil {
		checks = append(checks, f.Checkpoint.check)
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (a *Arch) check() error {
	for _, c := range []struct {
		field, got string
		want       []string
	}{
		{"backbone", a.Backbone, []string{"resnet18", "resnet34", "resnet50"}},
		{"stem", a.Stem, []string{"standard", "small"}},
		{"attention", a.Attention, []string{"gate", "none"}},
		{"batch norm", a.BatchNorm, []string{"frozen", "batch"}},
		{"head", a.Head, []string{model.EmbeddingHead, model.ClassificationHead}},
	} {
		if !slices.Contains(c.want, c.got) {
			return fmt.Errorf("%s: got %q, want one of %s", c.field, c.got, strings.Join(c.want, ", "))
		}
	}
	return within("embedding dim", int64(a.EmbeddingDim), 1, maxEmbeddingDim)
}

func (p *Preprocess) check() error {
	if err := within("input size", int64(p.InputSize), 1, maxInputSize); err != nil {
		return err
	}
	if err := within("resize denominator", int64(p.ResizeDen), 1, maxInputSize); err != nil {
		return err
	}
	if err := within("resize numerator", int64(p.ResizeNum), int64(p.ResizeDen), maxInputSize); err != nil {
		return err
	}
	for c := range 3 {
		if !finite(float64(p.Mean[c])) || !finite(float64(p.Std[c])) || p.Std[c] <= 0 {
			return fmt.Errorf("channel %d: got mean %v and std %v, want finite numbers and std > 0", c, p.Mean[c], p.Std[c])
		}
	}
	return nil
}

func (f *File) checkClasses() error {
	for i, name := range f.ClassNames {
		if err := checkText("class name", name, 1, maxClassBytes); err != nil {
			return fmt.Errorf("class %d: %w", i, err)
		}
	}
	if n := len(f.ClassNames); f.Arch.Head == model.ClassificationHead && n != f.Arch.EmbeddingDim {
		return fmt.Errorf("classification head: got %d class names, want %d, one per output", n, f.Arch.EmbeddingDim)
	}
	return nil
}

// checkLearners sees that every neuron belongs to exactly one learner.
func (f *File) checkLearners() error {
	owned := make([]bool, f.Arch.EmbeddingDim)
	total := 0
	for k, neurons := range f.Learners {
		if len(neurons) == 0 {
			return fmt.Errorf("learner %d: got no neurons, want at least 1", k)
		}
		for _, i := range neurons {
			if i < 0 || int(i) >= len(owned) {
				return fmt.Errorf("learner %d: got neuron %d, want 0 to %d", k, i, len(owned)-1)
			}
			if owned[i] {
				return fmt.Errorf("learner %d: got neuron %d, which is listed before", k, i)
			}
			owned[i] = true
		}
		total += len(neurons)
	}
	if total != len(owned) {
		return fmt.Errorf("learners: got %d neurons, want all %d; neuron %d has no learner",
			total, len(owned), slices.Index(owned, false))
	}
	return nil
}

func (f *File) checkRanges() error {
	for _, r := range f.Ranges {
		if !finite(r.Value) || r.Value < 0 {
			return fmt.Errorf("range %q: got %v, want a finite number of 0 or more", r.Name, r.Value)
		}
	}
	return checkNames("range", f.Ranges, func(r NamedFloat) string { return r.Name })
}

func (c *Card) check() error {
	for _, t := range []struct{ field, text string }{{"library version", c.LibraryVersion}, {"data hash", c.DataHash},
		{"intended use", c.IntendedUse}, {"notes", c.Notes}} {
		if err := checkText(t.field, t.text, 0, maxTextBytes); err != nil {
			return err
		}
	}
	if strings.Trim(c.DataHash, "0123456789abcdef") != "" {
		return fmt.Errorf("data hash: got %.20q, want lower-case hexadecimal digits", c.DataHash)
	}
	if err := checkNames("split", c.Splits, func(s Count) string { return s.Name }); err != nil {
		return err
	}
	for _, s := range c.Splits {
		if s.Value < 0 {
			return fmt.Errorf("split %q: got %d images", s.Name, s.Value)
		}
	}
	for _, s := range c.Scores {
		if i := slices.IndexFunc(s.Values, func(v float64) bool { return !finite(v) }); i >= 0 {
			return fmt.Errorf("score %q: got %v at %d, want finite numbers", s.Name, s.Values[i], i)
		}
	}
	return checkNames("score", c.Scores, func(s Score) string { return s.Name })
}

func (c *Checkpoint) check() error {
	if err := checkTensors(c.Tensors, true); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := checkNames("checkpoint int", c.Ints, func(v NamedInt) string { return v.Name }); err != nil {
		return err
	}
	if err := checkNames("checkpoint float", c.Floats, func(v NamedFloat) string { return v.Name }); err != nil {
		return err
	}
	return checkNames("checkpoint blob", c.Blobs, func(v NamedBlob) string { return v.Name })
}

// checkNames sees that names are proper and unique.
func checkNames[T any](what string, items []T, name func(T) string) error {
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		n := name(item)
		if err := checkText(what+" name", n, 1, maxNameBytes); err != nil {
			return err
		}
		if seen[n] {
			return fmt.Errorf("%s %q: got the name twice", what, n)
		}
		seen[n] = true
	}
	return nil
}

func checkText(what, s string, least, most int) error {
	if len(s) < least || len(s) > most {
		return fmt.Errorf("%s %.40q: got %d bytes, want %d to %d", what, s, len(s), least, most)
	}
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%s %.40q: got other than UTF-8 text without NUL", what, s)
	}
	return nil
}

func within(what string, got, least, most int64) error {
	if got < least || got > most {
		return fmt.Errorf("%s: got %d, want %d to %d", what, got, least, most)
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
