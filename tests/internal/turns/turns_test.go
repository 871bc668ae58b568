package turns

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEachNumberIsAnsweredWithTheSecondsOfSoManyIterations(t *testing.T) {
	var out strings.Builder
	about := map[string]int{"rows": 3}
	err := Serve(strings.NewReader("1\n4\n"), &out, about, func(n int) (time.Duration, error) { return time.Duration(n) * time.Second / 2, nil })
	if want := "ready {\"rows\":3}\n0.5\n2\n"; err != nil || out.String() != want {
		t.Errorf("got %q (error %v), want %q", out.String(), err, want)
	}
}

func TestWhatIsNoNumberAndWhatFailsEndsTheServing(t *testing.T) {
	broken := errors.New("broken")
	for input, run := range map[string]func(int) (time.Duration, error){
		"one\n": func(int) (time.Duration, error) { return 0, nil },
		"1\n":   func(int) (time.Duration, error) { return 0, broken },
	} {
		var out strings.Builder
		if err := Serve(strings.NewReader(input), &out, nil, run); err == nil || out.String() != "ready\n" {
			t.Errorf("input %q: got %q and error %v, want ready and an error", input, out.String(), err)
		}
	}
}

func TestRepeatComputesSoOftenAndStopsAtAnError(t *testing.T) {
	count, broken := 0, errors.New("broken")
	run := Repeat(func() error {
		if count++; count > 5 {
			return broken
		}
		return nil
	})
	if _, err := run(4); err != nil || count != 4 {
		t.Errorf("got %d runs and error %v, want 4 and none", count, err)
	}
	if _, err := run(4); !errors.Is(err, broken) || count != 6 {
		t.Errorf("got %d runs and error %v, want 6 and %v", count, err, broken)
	}
}
