package dataset

import (
	"bytes"
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/imageio/imagetest"
)

func newLoader(t testing.TB, d *Dataset, o LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func next(t testing.TB, l *Loader) *Batch {
	t.Helper()
	b, err := l.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run takes batches of the given sizes and returns all pixels.
func run(t *testing.T, o LoaderOptions) []byte {
	t.Helper()
	d := drawn(t, 40, 4)
	l := newLoader(t, d, o)
	var pix []byte
	for n := range uint64(12) {
		if err := l.Push(n, []int{int(n), int(n*7) % 40, 39, int(n*3) % 40}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint64(12) {
		b := next(t, l)
		if b.Number != n || b.Indices[0] != int(n) || b.Labels[2] != 39%4 || len(b.Labels) != 4 {
			t.Fatalf("batch %d: got %d, %v, %v", n, b.Number, b.Indices, b.Labels)
		}
		pix = append(pix, b.Pix...)
		l.Release(b)
	}
	return pix
}

func TestTheLoaderGivesTheSameForAnyNumberOfWorkers(t *testing.T) {
	o := LoaderOptions{Size: 16, Batch: 4, Augment: true, Seed: 5, Workers: 1, Ring: 1}
	want := run(t, o)
	for _, c := range [][2]int{{2, 1}, {3, 3}, {7, 2}, {0, 0}} {
		o.Workers, o.Ring = c[0], c[1]
		if !bytes.Equal(run(t, o), want) {
			t.Errorf("%d workers, %d buffers: other pixels", c[0], c[1])
		}
	}
	o.Seed = 6
	if bytes.Equal(run(t, o), want) {
		t.Error("another seed gives the same pixels")
	}
}

func TestAugmentationDependsOnTheBatchAndThePlace(t *testing.T) {
	l := newLoader(t, drawn(t, 4, 2), LoaderOptions{Size: 16, Batch: 2, Augment: true, Seed: 1})
	var seen [][]byte
	for n := range uint64(2) {
		if err := l.Push(n, []int{3, 3}); err != nil {
			t.Fatal(err)
		}
		b := next(t, l)
		seen = append(seen, slices.Clone(b.Pix[:768]), slices.Clone(b.Pix[768:]))
		l.Release(b)
	}
	for i := range seen {
		for j := range i {
			if bytes.Equal(seen[i], seen[j]) {
				t.Errorf("views %d and %d of one picture are equal", j, i)
			}
		}
	}
}

func TestEvaluationBatchesArePadded(t *testing.T) {
	d := drawn(t, 5, 2)
	l := newLoader(t, d, LoaderOptions{Size: 16, Batch: 3, Ring: 1})
	for from := 0; from < 5; from += 3 { // the second batch reuses the first one's buffer
		indices := []int{0, 1, 2, 3, 4}[from:min(from+3, 5)]
		if err := l.Push(0, indices); err != nil {
			t.Fatal(err)
		}
		b := next(t, l)
		want := make([]byte, 3*3*16*16)
		for place, i := range indices {
			img, err := d.Decode(i)
			if err != nil {
				t.Fatal(err)
			}
			if err := new(imageio.Resizer).Evaluate(want[place*768:][:768], img, 16); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(b.Indices, indices) || !bytes.Equal(b.Pix, want) {
			t.Errorf("batch from %d: got %v, or other pixels", from, b.Indices)
		}
		l.Release(b)
	}
}

func TestAFailedPictureFailsItsBatchOnly(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "1.png"), pngOf(t, 1))
	write(t, filepath.Join(dir, "b", "2.png"), pngOf(t, 2))
	write(t, filepath.Join(dir, "b", "3_cut.png"), pngOf(t, 2)[:50])
	write(t, filepath.Join(dir, "b", "4_cut.png"), nil)
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, d, LoaderOptions{Size: 8, Batch: 4, Workers: 3, Ring: 1})
	for n, indices := range [][]int{{0, 1, 2, 3}, {1, 0}} {
		if err := l.Push(uint64(n), indices); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Next(context.Background()); errs.KindOf(err) != errs.Corrupt || !strings.Contains(err.Error(), "3_cut.png") {
		t.Errorf("got %v, want the first damaged file", err)
	}
	if b := next(t, l); !slices.Equal(b.Indices, []int{1, 0}) {
		t.Errorf("the batch after it: %v", b.Indices)
	}
}

func TestAPanicInAWorkerIsAnError(t *testing.T) {
	d := drawn(t, 4, 2)
	d.arrays.Uint8 = d.arrays.Uint8[:10:10] // as if someone had taken the memory away
	l := newLoader(t, d, LoaderOptions{Size: 8, Batch: 2})
	if err := l.Push(0, []int{0, 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Next(context.Background()); errs.KindOf(err) != errs.Internal {
		t.Errorf("got %v, want an Internal error", err)
	}
}

func TestMisuseIsAnErrorNotAHang(t *testing.T) {
	l := newLoader(t, drawn(t, 4, 2), LoaderOptions{Size: 8, Batch: 2, Ring: 1})
	if _, err := l.Next(context.Background()); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "Push") {
		t.Errorf("Next without Push: got %v", err)
	}
	for name, indices := range map[string][]int{"none": nil, "too many": {0, 1, 2}, "a negative one": {-1}, "one too large": {4}} {
		if err := l.Push(0, indices); errs.KindOf(err) != errs.Invalid {
			t.Errorf("Push of %s: got %v", name, err)
		}
	}
	for n := range uint64(2) {
		if err := l.Push(n, []int{0}); err != nil {
			t.Fatal(err)
		}
	}
	next(t, l)
	if _, err := l.Next(context.Background()); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "Release") {
		t.Errorf("Next with all buffers taken: got %v", err)
	}
	for name, o := range map[string]LoaderOptions{"no size": {Batch: 1}, "no batch": {Size: 8}, "a huge size": {Size: 1 << 20, Batch: 1},
		"a huge batch": {Size: 4096, Batch: 1 << 40}, "negative workers": {Size: 8, Batch: 1, Workers: -1}, "a negative ring": {Size: 8, Batch: 1, Ring: -1}} {
		if _, err := NewLoader(drawn(t, 2, 2), o); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNextStopsWithItsContextAndWithClose(t *testing.T) {
	l := newLoader(t, drawn(t, 4, 2), LoaderOptions{Size: 8, Batch: 2})
	// begun holds a batch that no worker will ever finish, so that Next has to wait
	l.mu.Lock()
	l.begun = append(l.begun, &Batch{pending: 1})
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := l.Next(ctx); errs.KindOf(err) != errs.Cancelled {
		t.Errorf("got %v, want Cancelled", err)
	}
	if got, most := l.Waited(), time.Since(begun); got <= 0 || got > most {
		t.Errorf("counted %v of waiting, want some of %v", got, most)
	}
	got := make(chan error)
	go func() {
		_, err := l.Next(context.Background())
		got <- err
	}()
	l.Close()
	if err := <-got; errs.KindOf(err) != errs.Cancelled {
		t.Errorf("got %v, want Cancelled", err)
	}
	if err := l.Push(0, []int{0}); errs.KindOf(err) != errs.Cancelled {
		t.Errorf("Push after Close: got %v", err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	d := drawn(t, 40, 2)
	for range 20 {
		l := newLoader(t, d, LoaderOptions{Size: 32, Batch: 8, Augment: true, Workers: 6})
		for n := range uint64(5) {
			if err := l.Push(n, []int{0, 1, 2, 3, 4, 5, 6, 7}); err != nil {
				t.Fatal(err)
			}
		}
		next(t, l)
		l.Close()
		l.Close()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestTheLoaderAllocatesSmallConstantsOnly(t *testing.T) {
	d := drawn(t, 32, 2)
	if _, err := d.Check(context.Background(), CheckOptions{}); err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, d, LoaderOptions{Size: 48, Batch: 32, Augment: true, Workers: 2})
	indices := make([]int, 32)
	for i := range indices {
		indices[i] = i
	}
	n := uint64(0)
	step := func() {
		if err := l.Push(n, indices); err != nil {
			t.Fatal(err)
		}
		n++
		l.Release(next(t, l))
	}
	for range 20 {
		step() // grow the scratch of every worker
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 50 {
		step()
	}
	runtime.ReadMemStats(&after)
	// a random stream an image (ChaCha8's state and a name, below 1 KiB); one decoded picture would be 2.3 KiB, the batch 221 KiB
	if bytes := (after.TotalAlloc - before.TotalAlloc) / 50 / 32; bytes > 1024 {
		t.Errorf("got %d bytes an image, want at most 1024", bytes)
	}
}

func TestTrainingBatchesOfHAM10000(t *testing.T) {
	d, err := Open(filepath.Join(imagetest.Folder(t, "ham10000"), "manifest.csv"))
	if err != nil {
		t.Fatal(err)
	}
	train := d.Indices(Train)
	l := newLoader(t, d, LoaderOptions{Size: 64, Batch: 112, Augment: true, Seed: 1})
	for n := range uint64(3) {
		if err := l.Push(n, train[int(n)*112:][:112]); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		b := next(t, l)
		var mean float64
		for _, v := range b.Pix {
			mean += float64(v) / float64(len(b.Pix))
		}
		// dermoscopy is bright and pink: the mean level over HAM10000 is about 160
		if mean < 130 || mean > 190 {
			t.Errorf("batch %d: mean level %v", b.Number, mean)
		}
		l.Release(b)
	}
}

func BenchmarkAugmentedBatch(b *testing.B) {
	d := drawn(b, 128, 2)
	l := newLoader(b, d, LoaderOptions{Size: 64, Batch: 128, Augment: true})
	indices := make([]int, 128)
	for i := range indices {
		indices[i] = i
	}
	for b.Loop() {
		if err := l.Push(1, indices); err != nil {
			b.Fatal(err)
		}
		l.Release(next(b, l))
	}
}
