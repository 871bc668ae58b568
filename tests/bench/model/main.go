// Command model writes the network of a folder (package network) to FOLDER/model.dsl: a model of one learner, for the rows that start from a file.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"libdsl/lib/errs"
	"libdsl/lib/learner"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
	"libdsl/tests/internal/network"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errs.New(errs.Invalid, "model: got %d arguments, want FOLDER", len(args))
	}
	n, err := network.Load(args[0])
	if err != nil {
		return err
	}
	whole, err := learner.New(n.EmbeddingDim, 1)
	if err != nil {
		return err
	}
	m := &model.Model{Arch: n.Arch, Head: model.EmbeddingHead, InputSize: n.Height, Learners: whole, Weights: n.Weights}
	f, err := modelfile.FromModel(m, modelfile.Card{})
	if err != nil {
		return err
	}
	return modelfile.Write(filepath.Join(n.Dir, "model.dsl"), f)
}
