package dataset

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
)

// CheckOptions steer Check.
type CheckOptions struct {
	Workers        int                   // goroutines; 0 means one per CPU
	SkipUnreadable bool                  // drop what cannot be decoded instead of failing
	Progress       func(done, total int) // may be nil; called on the goroutine of Check
}

// Unreadable is a sample that cannot be decoded.
type Unreadable struct {
	Name string
	Err  error
}

// Check decodes every picture that training reads once, before it starts, and fills the cache with as many as it holds, those of the training split
// before those of validation. Cutting can only be seen by decoding, so nothing less will do. Test pictures are not looked at.
//
// Pictures that cannot be decoded are an error that names the first few and counts them; with SkipUnreadable they are
// removed from Samples (indices taken before are void) and returned.
// Errors: Corrupt with the list, Invalid when nothing readable is left, Cancelled with ctx.
func (d *Dataset) Check(ctx context.Context, o CheckOptions) ([]Unreadable, error) {
	order := slices.Concat(d.Indices(Train), d.Indices(Val))
	failed, err := d.decodeAll(ctx, order, o)
	if err != nil {
		return nil, err
	}
	var bad []Unreadable
	for i, err := range failed {
		if err != nil {
			bad = append(bad, Unreadable{d.Samples[i].Name, err})
		}
	}
	switch {
	case len(bad) == 0:
		return nil, nil
	case !o.SkipUnreadable:
		return bad, unreadableError(bad, len(order))
	case len(bad) == len(order):
		return bad, errs.New(errs.Invalid, "dataset: images: got %d, none of which can be decoded; the first: %v", len(order), bad[0].Err)
	}
	d.drop(failed)
	return bad, nil
}

// decodeAll returns the error of each sample, or its own when it was cut short.
func (d *Dataset) decodeAll(ctx context.Context, order []int, o CheckOptions) ([]error, error) {
	workers := o.Workers
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	failed := make([]error, len(d.Samples))
	done := make(chan struct{}, workers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var dec imageio.Decoder
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(order) {
					return
				}
				failed[order[at]] = d.tryDecode(&dec, order[at])
				done <- struct{}{}
			}
		})
	}
	go func() {
		wg.Wait()
		close(done)
	}()
	n := 0
	for range done {
		n++
		if o.Progress != nil && ctx.Err() == nil {
			o.Progress(n, len(order))
		}
	}
	if ctx.Err() != nil {
		return nil, errs.Wrap(errs.Cancelled, ctx.Err(), "dataset: check of the images: stopped after %d of %d", n, len(order))
	}
	return failed, nil
}

func (d *Dataset) tryDecode(dec *imageio.Decoder, i int) (err error) {
	defer errs.Recover(&err)
	_, err = d.DecodeWith(dec, i)
	return err
}

func unreadableError(bad []Unreadable, total int) error {
	const most = 5
	lines := []string{}
	for _, b := range bad[:min(most, len(bad))] {
		lines = append(lines, "  "+b.Err.Error())
	}
	if len(bad) > most {
		lines = append(lines, fmt.Sprintf("  … and %d more", len(bad)-most))
	}
	return errs.New(errs.Corrupt, "dataset: images: got %d of %d that cannot be decoded, want none (repair them, or skip unreadable images):\n%s",
		len(bad), total, strings.Join(lines, "\n"))
}

// drop removes the samples that failed, and their places in the cache.
func (d *Dataset) drop(failed []error) {
	old := d.cache.images
	var kept []Sample
	var images []int
	for i, err := range failed {
		if err == nil {
			kept, images = append(kept, d.Samples[i]), append(images, i)
		}
	}
	d.Samples = kept
	d.SetCacheLimit(d.cache.limit)
	for i, from := range images {
		if img := old[from].Load(); img != nil {
			d.cache.put(i, img)
		}
	}
}
