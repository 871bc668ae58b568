package dataset

import (
	"encoding/binary"
	"errors"
	"slices"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// B batch, P classes a batch, M images a class

// ErrOneClass is in the chain of NewSampler's error when fewer than two classes can be drawn from.
var ErrOneClass = errors.New("fewer than two classes with two images each")

// Sampler draws class-balanced batches from the samples of one cluster (or of a whole split).
//
// A batch has P classes with M images each. Classes come in shuffled rounds, so that all are visited equally often,
// and so do the images of a class that has at least M; a class with fewer is drawn with replacement. Where the
// cluster has fewer than P classes, all of them share the B = P·M places, so that a batch always has B images. An
// image that is the only one of its class in the cluster sits out, because it has no positive pair.
//
// The sampler is for one goroutine. Its state can be saved and restored. Source: the balanced batches of Sanakoyeu et
// al. 2019 (MML).
type Sampler struct {
	perBatch, perClass int // P, M
	stream             *rng.Stream
	classes            round
	images             []round // by position of the class in the cluster
	alone              int
	drawn              []int32 // scratch: the classes of this batch
	picked             []int32 // scratch: the images of this class
}

// NewSampler draws from the samples indices, where labels[i] is the label of indices[i]. The sampler owns stream from
// then on.
// Errors: Invalid for classes < 2, perClass < 2 or lengths that disagree; Invalid with ErrOneClass in the chain when
// fewer than two classes have two images.
func NewSampler(indices []int, labels []int64, classes, perClass int, stream *rng.Stream) (*Sampler, error) {
	if classes < 2 || perClass < 2 {
		return nil, errs.New(errs.Invalid, "dataset: sampler: got batches of %d classes × %d images, want at least 2 × 2", classes, perClass)
	}
	if len(indices) != len(labels) {
		return nil, errs.New(errs.Invalid, "dataset: sampler: got %d indices and %d labels, want as many", len(indices), len(labels))
	}
	byLabel := map[int64][]int32{}
	for i, at := range indices {
		byLabel[labels[i]] = append(byLabel[labels[i]], int32(at))
	}
	sorted := []int64{}
	for label := range byLabel {
		sorted = append(sorted, label)
	}
	slices.Sort(sorted)
	s := &Sampler{perBatch: classes, perClass: perClass, stream: stream}
	for _, label := range sorted {
		if len(byLabel[label]) < 2 {
			s.alone++
			continue
		}
		s.classes.order = append(s.classes.order, int32(len(s.images)))
		s.images = append(s.images, round{order: byLabel[label], at: len(byLabel[label])})
	}
	s.classes.at = len(s.images)
	if len(s.images) < 2 {
		return nil, errs.Wrap(errs.Invalid, ErrOneClass, "dataset: sampler: got %d images of %d classes", len(indices), len(sorted))
	}
	return s, nil
}

// BatchSize is B.
func (s *Sampler) BatchSize() int { return s.perBatch * s.perClass }

// Alone is the number of images that sit out.
func (s *Sampler) Alone() int { return s.alone }

// Next fills dst, of length BatchSize, with the next batch: sample indices, class after class.
func (s *Sampler) Next(dst []int) error {
	if len(dst) != s.BatchSize() {
		return errs.New(errs.Invalid, "dataset: sampler: got room for %d indices, want %d", len(dst), s.BatchSize())
	}
	classes := min(s.perBatch, len(s.images))
	s.drawn = s.classes.take(s.drawn[:0], classes, s.stream)
	each, more := len(dst)/classes, len(dst)%classes
	at := 0
	for i, c := range s.drawn {
		n := each
		if i < more {
			n++
		}
		images := &s.images[c]
		if len(images.order) < n {
			for range n {
				dst[at] = int(images.order[s.stream.IntN(len(images.order))])
				at++
			}
			continue
		}
		s.picked = images.take(s.picked[:0], n, s.stream)
		for _, v := range s.picked {
			dst[at] = int(v)
			at++
		}
	}
	return nil
}

// round deals out shuffled values; after the last it shuffles again.
type round struct {
	order []int32
	at    int // the next value to deal
}

// take appends n distinct values to dst, n ≤ len(order). Where a round ends within the n, values dealt just before move
// out of the way in the new round, so that none comes twice.
func (r *round) take(dst []int32, n int, stream *rng.Stream) []int32 {
	for len(dst) < n && r.at < len(r.order) {
		dst = append(dst, r.order[r.at])
		r.at++
	}
	if len(dst) == n {
		return dst
	}
	stream.Shuffle(len(r.order), func(i, j int) { r.order[i], r.order[j] = r.order[j], r.order[i] })
	before, need := dst, n-len(dst)
	from := need
	for i := range need {
		for slices.Contains(before, r.order[i]) {
			r.order[i], r.order[from] = r.order[from], r.order[i]
			from++
		}
	}
	r.at = need
	return append(dst, r.order[:need]...)
}

// MarshalBinary returns the state: the stream's, and every round's order and position.
func (s *Sampler) MarshalBinary() ([]byte, error) {
	stream, err := s.stream.MarshalBinary()
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "dataset: sampler: state of its stream")
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(stream)))
	out = append(out, stream...)
	out = s.classes.marshal(out)
	for i := range s.images {
		out = s.images[i].marshal(out)
	}
	return out, nil
}

func (r *round) marshal(out []byte) []byte {
	out = binary.LittleEndian.AppendUint32(out, uint32(r.at))
	for _, v := range r.order {
		out = binary.LittleEndian.AppendUint32(out, uint32(v))
	}
	return out
}

// UnmarshalBinary restores a state into a sampler that was made of the same samples with the same sizes.
// Errors: Corrupt when the state is not of such a sampler; the sampler is then unchanged.
func (s *Sampler) UnmarshalBinary(state []byte) error {
	bad := func(what string) error {
		return errs.New(errs.Corrupt, "dataset: sampler: got a state that %s, want one of the same samples", what)
	}
	if len(state) < 4 {
		return bad("is cut")
	}
	n := uint64(binary.LittleEndian.Uint32(state))
	if uint64(len(state)-4) < n {
		return bad("is cut")
	}
	stream := rng.New(0, "")
	if stream.UnmarshalBinary(state[4:4+n]) != nil {
		return bad("has no random stream")
	}
	rest, ok := state[4+n:], true
	classes := s.classes
	images := slices.Clone(s.images)
	rest, ok = classes.unmarshal(rest)
	for i := range images {
		if ok {
			rest, ok = images[i].unmarshal(rest)
		}
	}
	if !ok || len(rest) != 0 {
		return bad("has other samples")
	}
	s.stream, s.classes, s.images = stream, classes, images
	return nil
}

// unmarshal replaces order and position; it wants a permutation of the values that are there.
func (r *round) unmarshal(in []byte) (rest []byte, ok bool) {
	n := len(r.order)
	if len(in) < 4*(n+1) {
		return nil, false
	}
	at, order := binary.LittleEndian.Uint32(in), make([]int32, n)
	for i := range order {
		order[i] = int32(binary.LittleEndian.Uint32(in[4*(i+1):]))
	}
	have, got := slices.Clone(r.order), slices.Clone(order)
	slices.Sort(have)
	slices.Sort(got)
	if uint64(at) > uint64(n) || !slices.Equal(have, got) {
		return nil, false
	}
	r.at, r.order = int(at), order
	return in[4*(n+1):], true
}
