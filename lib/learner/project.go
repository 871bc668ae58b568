package learner

import (
	"math"

	"libdsl/lib/errs"
)

// Epsilon keeps a learner's part finite where its neurons are all zero: z_k = e[N_k]/√(‖e[N_k]‖² + Epsilon).
const Epsilon = 1e-12

// Project writes learner k's unit rows z_k = e[N_k]/√(‖e[N_k]‖² + Epsilon) [B, |N_k|] of e [B, D].
// Errors: errs.Invalid when k or a size does not fit; z is then unchanged.
func (s *Set) Project(e []float32, k int, z []float32) error {
	b, err := s.rows("project", e, k, z)
	if err != nil {
		return err
	}
	own := s.subspaces[k]
	for r := range b {
		row, out := e[r*s.dim:(r+1)*s.dim], z[r*len(own):(r+1)*len(own)]
		scale := 1 / norm(row, own)
		for i, n := range own {
			out[i] = float32(float64(row[n]) * scale)
		}
	}
	return nil
}

// Backward turns dz = ∂L/∂z_k [B, |N_k|] into de = ∂L/∂e [B, D], which it overwrites; neurons of other learners get 0:
//
//	∂L/∂e_i = (dz_i − z_i·⟨dz, z⟩)/√(‖e[N_k]‖² + Epsilon)
//
// As z_k ignores the scale of e, Σ_{i∈N_k} e_i·∂L/∂e_i = 0 for each image. Errors: as Project.
func (s *Set) Backward(e, dz []float32, k int, de []float32) error {
	b, err := s.rows("backward", e, k, dz)
	if err != nil {
		return err
	}
	if len(de) != len(e) {
		return errs.New(errs.Invalid, "learner: backward: got %d numbers for ∂L/∂e, want %d", len(de), len(e))
	}
	own := s.subspaces[k]
	clear(de)
	for r := range b {
		row, in, out := e[r*s.dim:(r+1)*s.dim], dz[r*len(own):(r+1)*len(own)], de[r*s.dim:(r+1)*s.dim]
		length := norm(row, own)
		var along float64 // ⟨dz, e⟩/‖e‖²
		for i, n := range own {
			along += float64(in[i]) * float64(row[n])
		}
		along /= length * length
		for i, n := range own {
			out[n] = float32((float64(in[i]) - float64(row[n])*along) / length)
		}
	}
	return nil
}

// Embed writes the whole embedding [B, D]: each learner's unit part at its neurons' places, divided by √K, so that rows
// have unit length. out may be e itself. Errors: errs.Invalid when a size does not fit; out is then unchanged.
func (s *Set) Embed(e, out []float32) error {
	if err := s.whole("embed", e, out); err != nil {
		return err
	}
	root := math.Sqrt(float64(len(s.subspaces)))
	for at := 0; at < len(e); at += s.dim {
		row, to := e[at:at+s.dim], out[at:at+s.dim]
		for _, own := range s.subspaces {
			scale := 1 / (norm(row, own) * root)
			for _, n := range own {
				to[n] = float32(float64(row[n]) * scale)
			}
		}
	}
	return nil
}

// EmbedBackward turns dout = ∂L/∂(whole embedding) [B, D] into de = ∂L/∂e [B, D], which it overwrites; de may be dout
// itself. The sum of e_i·∂L/∂e_i is 0 for each image and learner. Errors: as Embed.
func (s *Set) EmbedBackward(e, dout, de []float32) error {
	if err := s.whole("embed backward", e, dout); err != nil {
		return err
	}
	if err := s.whole("embed backward", e, de); err != nil {
		return err
	}
	root := math.Sqrt(float64(len(s.subspaces)))
	for at := 0; at < len(e); at += s.dim {
		row, in, out := e[at:at+s.dim], dout[at:at+s.dim], de[at:at+s.dim]
		for _, own := range s.subspaces {
			length := norm(row, own)
			var along float64
			for _, n := range own {
				along += float64(in[n]) * float64(row[n])
			}
			along /= length * length
			for _, n := range own {
				out[n] = float32((float64(in[n]) - float64(row[n])*along) / (length * root))
			}
		}
	}
	return nil
}

// norm is √(‖row[own]‖² + Epsilon).
func norm(row []float32, own []int) float64 {
	var sum float64
	for _, n := range own {
		v := float64(row[n])
		sum += v * v
	}
	return math.Sqrt(sum + Epsilon)
}

// rows checks e [B, D] against a learner's part [B, |N_k|] and returns B.
func (s *Set) rows(what string, e []float32, k int, part []float32) (int, error) {
	if k < 0 || k >= len(s.subspaces) {
		return 0, errs.New(errs.Invalid, "learner: %s: got learner %d, want 0 to %d", what, k, len(s.subspaces)-1)
	}
	b, width := len(e)/s.dim, len(s.subspaces[k])
	if len(e) != b*s.dim || len(part) != b*width {
		return 0, errs.New(errs.Invalid, "learner: %s: got %d and %d numbers, want rows of %d and as many of %d",
			what, len(e), len(part), s.dim, width)
	}
	return b, nil
}

// whole checks that e and other are both [B, D].
func (s *Set) whole(what string, e, other []float32) error {
	if len(e)%s.dim != 0 || len(other) != len(e) {
		return errs.New(errs.Invalid, "learner: %s: got %d and %d numbers, want the same number of rows of %d",
			what, len(e), len(other), s.dim)
	}
	return nil
}
