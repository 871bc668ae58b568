package main

import (
	"strings"
	"sync"
	"testing"

	"libdsl/lib/dsl"
	"libdsl/lib/errs"
)

func TestAPanicBecomesAnErrorAndPoisonsTheHandle(t *testing.T) {
	h := create(dsl.NewDataset())
	defer remove[*dsl.Dataset](h)
	err := (&call{}).run(func(c *call) error {
		if _, err := use[*dsl.Dataset](c, h); err != nil {
			return err
		}
		panic("boom")
	})
	if errs.KindOf(err) != errs.Internal || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("got %v, want an internal error with the panic's text", err)
	}
	err = (&call{}).run(func(c *call) error {
		_, err := use[*dsl.Dataset](c, h)
		return err
	})
	if errs.KindOf(err) != errs.Poisoned {
		t.Fatalf("got %v, want a poisoned handle", err)
	}
	if _, ok, err := remove[*dsl.Dataset](h); !ok || err != nil {
		t.Fatalf("a poisoned handle cannot be freed: %v", err)
	}
}

func TestAnOrdinaryErrorDoesNotPoison(t *testing.T) {
	h := create(dsl.NewDataset())
	defer remove[*dsl.Dataset](h)
	for range 2 {
		err := (&call{}).run(func(c *call) error {
			d, err := use[*dsl.Dataset](c, h)
			if err != nil {
				return err
			}
			return d.SetClassName(-1, "a")
		})
		if errs.KindOf(err) != errs.Invalid {
			t.Fatalf("got %v, want an invalid argument", err)
		}
	}
}

func TestHandlesAreNeverUsedAgainAndKnowTheirType(t *testing.T) {
	before := liveHandles()
	var mu sync.Mutex
	seen := map[uintptr]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				h := create(report("{}"))
				mu.Lock()
				if seen[h] {
					t.Errorf("handle %x came twice", h)
				}
				seen[h] = true
				mu.Unlock()
				if _, err := use[*dsl.Model](&call{}, h); errs.KindOf(err) != errs.Invalid {
					t.Errorf("a report passed for a model: %v", err)
				}
				if _, ok, _ := remove[report](h); !ok {
					t.Errorf("handle %x was not alive", h)
				}
				if _, ok, _ := remove[report](h); ok {
					t.Errorf("handle %x was freed twice", h)
				}
			}
		})
	}
	wg.Wait()
	if got := liveHandles(); got != before {
		t.Fatalf("got %d live handles, want %d", got, before)
	}
}
