package modelfile

import (
	"fmt"

	"libdsl/lib/internal/hugepage"
	"libdsl/lib/modelfile/internal/fb"
)

// decodeBody makes a File of a body that verifyBody accepted. What it allocates is bounded by the body's size: every
// vector was seen to lie in the body, and no two of them to overlap.
func decodeBody(body []byte) (*File, error) {
	m := fb.GetRootAsModel(body, 0)
	a, p := m.Arch(nil), m.Preprocess(nil)
	f := &File{
		Arch: Arch{Backbone: string(a.Backbone()), Stem: string(a.Stem()), Attention: string(a.Attention()),
			BatchNorm: string(a.BatchNorm()), Head: string(a.Head()), EmbeddingDim: int(a.EmbeddingDim())},
		Preprocess: Preprocess{InputSize: int(p.InputSize()), ResizeNum: int(p.ResizeNum()), ResizeDen: int(p.ResizeDen())},
		ClassNames: list(m.ClassNamesLength(), func(i int) string { return string(m.ClassNames(i)) }),
		Learners:   list(m.LearnersLength(), func(i int) []int32 { return decodeLearner(m.Learners, i) }),
		Card:       decodeCard(m.Card(nil)),
		Ranges:     list(m.RangesLength(), func(i int) NamedFloat { return decodeFloat(m.Ranges, i) }),
	}
	if got, want := [2]int{p.MeanLength(), p.StdLength()}, [2]int{3, 3}; got != want {
		return nil, fmt.Errorf("preprocess: got %d means and %d stds, want 3 of each", got[0], got[1])
	}
	for c := range 3 {
		f.Preprocess.Mean[c], f.Preprocess.Std[c] = p.Mean(c), p.Std(c)
	}
	var err error
	if f.Tensors, err = decodeTensors(m.TensorsLength(), m.Tensors); err != nil {
		return nil, err
	}
	if c := m.Checkpoint(nil); c != nil {
		if f.Checkpoint, err = decodeCheckpoint(c); err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
	}
	return f, nil
}

// list calls get for 0..n-1; nil when n is 0.
func list[T any](n int, get func(int) T) []T {
	if n == 0 {
		return nil
	}
	items := make([]T, n)
	for i := range items {
		items[i] = get(i)
	}
	return items
}

func decodeLearner(get func(*fb.Learner, int) bool, i int) []int32 {
	var l fb.Learner
	get(&l, i)
	return list(l.NeuronsLength(), l.Neurons)
}

func decodeFloat(get func(*fb.NamedFloat, int) bool, i int) NamedFloat {
	var v fb.NamedFloat
	get(&v, i)
	return NamedFloat{Name: string(v.Name()), Value: v.Value()}
}

// decodeTensors reads n tensors. Floats, which are most of a file, lie in one piece of memory.
func decodeTensors(n int, get func(*fb.Tensor, int) bool) ([]Tensor, error) {
	tensors, room := make([]Tensor, n), hugepage.Floats(numFloats(n, get))
	for i := range tensors {
		var t fb.Tensor
		get(&t, i)
		out := &tensors[i]
		out.Name, out.Shape = string(t.Name()), list(t.ShapeLength(), t.Shape)
		size := elementSize(t.Dtype())
		if size == 0 {
			return nil, fmt.Errorf("tensor %q: got element type %d, which does not exist", out.Name, t.Dtype())
		}
		count, err := numElements(out.Shape, true)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", out.Name, err)
		}
		if got, want := uint64(t.DataLength()), count*uint64(size); got != want {
			return nil, fmt.Errorf("tensor %q: got %d bytes, want %d for shape %v", out.Name, got, want, out.Shape)
		}
		out.Data = unshuffled(t.Dtype(), t.DataBytes(), room)
		if floats, ok := out.Data.([]float32); ok {
			room = room[len(floats):]
		}
	}
	return tensors, nil
}

// numFloats is the number of float32 elements of n tensors whose shapes nobody has checked yet.
func numFloats(n int, get func(*fb.Tensor, int) bool) int {
	floats := 0
	for i := range n {
		var t fb.Tensor
		if get(&t, i); t.Dtype() == fb.DTypeF32 {
			floats += t.DataLength() / elementSize(fb.DTypeF32)
		}
	}
	return floats
}

func decodeCard(c *fb.Card) Card {
	return Card{
		Created: c.Created(), LibraryVersion: string(c.LibraryVersion()), DataHash: string(c.DataHash()),
		IntendedUse: string(c.IntendedUse()), Notes: string(c.Notes()),
		Splits: list(c.SplitsLength(), func(i int) Count {
			var v fb.NamedInt
			c.Splits(&v, i)
			return Count{Name: string(v.Name()), Value: v.Value()}
		}),
		Scores: list(c.ScoresLength(), func(i int) Score {
			var s fb.Score
			c.Scores(&s, i)
			return Score{Name: string(s.Name()), Values: list(s.ValuesLength(), s.Values)}
		}),
	}
}

func decodeCheckpoint(c *fb.Checkpoint) (*Checkpoint, error) {
	tensors, err := decodeTensors(c.TensorsLength(), c.Tensors)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{
		Tensors: tensors,
		Ints: list(c.IntsLength(), func(i int) NamedInt {
			var v fb.NamedInt
			c.Ints(&v, i)
			return NamedInt{Name: string(v.Name()), Value: v.Value()}
		}),
		Floats: list(c.FloatsLength(), func(i int) NamedFloat { return decodeFloat(c.Floats, i) }),
		Blobs: list(c.BlobsLength(), func(i int) NamedBlob {
			var v fb.NamedBlob
			c.Blobs(&v, i)
			return NamedBlob{Name: string(v.Name()), Data: append([]byte{}, v.DataBytes()...)}
		}),
	}, nil
}
