// Package turns is the side of a Go program in a benchmark in which programs take turns (tests/bench).
package turns

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Serve says "ready", with what there is to know as JSON (nil: nothing), and answers each number N that it then reads with the seconds that run took for N
// iterations, until the input ends.
func Serve(in io.Reader, out io.Writer, about any, run func(n int) (time.Duration, error)) error {
	ready := "ready"
	if about != nil {
		text, err := json.Marshal(about)
		if err != nil {
			return err
		}
		ready += " " + string(text)
	}
	if _, err := fmt.Fprintln(out, ready); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		took, err := run(n)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, took.Seconds()); err != nil {
			return err
		}
	}
	return nil
}

// Repeat times once, computed n times.
func Repeat(once func() error) func(n int) (time.Duration, error) {
	return func(n int) (time.Duration, error) {
		start := time.Now()
		for range n {
			if err := once(); err != nil {
				return 0, err
			}
		}
		return time.Since(start), nil
	}
}
