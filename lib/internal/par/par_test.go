package par

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"libdsl/lib/errs"
)

func TestForVisitsEachIndexOnce(t *testing.T) {
	for _, c := range []struct {
		name              string
		n, grain, threads int
	}{
		{"no work", 0, 4, 3},
		{"one index", 1, 4, 3},
		{"a short last piece", 10, 4, 3},
		{"more threads than pieces", 5, 5, 8},
		{"threads chosen by the library", 100, 3, 0},
	} {
		seen := make([]int, c.n)
		err := For(context.Background(), c.n, c.grain, c.threads, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				seen[i]++
			}
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for i, times := range seen {
			if times != 1 {
				t.Errorf("%s: index %d visited %d times", c.name, i, times)
			}
		}
	}
}

func TestForGivesEachWorkerItsOwnNumber(t *testing.T) {
	const threads = 3
	counts := make([]int, threads) // written without a lock: the race detector checks that no two workers share a number
	if err := For(context.Background(), 1000, 1, threads, func(w, lo, hi int) { counts[w] += hi - lo }); err != nil {
		t.Fatal(err)
	}
	if got := counts[0] + counts[1] + counts[2]; got != 1000 {
		t.Fatalf("got %d indices, want 1000", got)
	}
}

func TestForForwardsAPanic(t *testing.T) {
	err := For(context.Background(), 10, 1, 2, func(_, lo, _ int) {
		if lo == 3 {
			panic("boom")
		}
	})
	if errs.KindOf(err) != errs.Internal || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("got %v", err)
	}
}

func TestForStopsTheOthersAfterAPanic(t *testing.T) {
	const pieces = 500
	failing := make(chan struct{})
	var ran atomic.Int32
	err := For(context.Background(), pieces, 1, 2, func(_, lo, _ int) {
		if lo == 0 {
			close(failing)
			panic("boom")
		}
		<-failing
		time.Sleep(time.Millisecond) // half a second for all pieces: time enough to be stopped
		ran.Add(1)
	})
	if errs.KindOf(err) != errs.Internal || ran.Load() == pieces-1 {
		t.Fatalf("got %v after %d more pieces, want an internal error before the last", err, ran.Load())
	}
}

func TestForStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ran := 0
	err := For(ctx, 10, 1, 1, func(_, lo, _ int) {
		ran++
		if lo == 2 {
			cancel()
		}
	})
	if errs.KindOf(err) != errs.Cancelled || ran != 3 {
		t.Fatalf("got %v after %d pieces, want a cancelled error after 3", err, ran)
	}
}
