// Command pictures is libdsl's side of the benchmark's picture row: it reads a folder's JPEG files and brings them to the evaluation transform,
// one after the other. It writes the pixels to FOLDER/libdsl.u8 and takes its turns (package turns).
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/tests/internal/turns"
)

func main() {
	size := flag.Int("size", 224, "pixels of a side")
	flag.Parse()
	if err := run(flag.Arg(0), *size); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string, size int) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil || len(names) == 0 {
		return errs.New(errs.NotFound, "pictures: no .jpg files in %q", filepath.Base(dir))
	}
	slices.Sort(names)
	one := 3 * size * size
	pixels := make([]uint8, one*len(names))
	var decoder imageio.Decoder
	var resizer imageio.Resizer
	all := func() error {
		for i, name := range names {
			if err := resizer.EvaluateFile(pixels[i*one:(i+1)*one], &decoder, name, 0, size); err != nil {
				return err
			}
		}
		return nil
	}
	if err := all(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "libdsl.u8"), pixels, 0o644); err != nil {
		return errs.Wrap(errs.IO, err, "pictures: libdsl.u8")
	}
	return turns.Serve(os.Stdin, os.Stdout, nil, turns.Repeat(all))
}
