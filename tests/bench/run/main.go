// Command run is libdsl's side of bench.py: it compiles a network (package network), writes its embedding to FOLDER/embedding.f32 and says "ready".
// For each number N that it then reads it computes N iterations and answers the seconds that they took.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/model"
	"libdsl/tests/internal/network"
)

func main() {
	task := flag.String("task", "train", "train or infer")
	network.Main(func(n *network.Network, be backend.Backend, threads int) error {
		switch *task {
		case "train":
			return train(n, be, backend.Options{Threads: threads})
		case "infer":
			return infer(n, be, backend.Options{Threads: threads, Winograd: true})
		}
		return errs.New(errs.Invalid, "run: task: got %q, want train or infer", *task)
	})
}

func train(net *network.Network, be backend.Backend, o backend.Options) error {
	t, err := net.NewTraining(be, o)
	if err != nil {
		return err
	}
	defer t.Close()
	args := network.Adam(0, 1e-6, 1e-4) // a rate that hundreds of steps do not diverge at
	return serve(net.Dir, t.Program, func() error {
		args.Step++
		return t.Step(args)
	})
}

func infer(net *network.Network, be backend.Backend, o backend.Options) error {
	r, err := net.NewInference(be, o)
	if err != nil {
		return err
	}
	defer r.Close()
	program, err := r.Program(model.Embed, net.Batch, net.Height, net.Width)
	if err != nil {
		return err
	}
	pixels, err := program.Input(model.InPixels)
	if err != nil {
		return err
	}
	return serve(net.Dir, program, func() error {
		copy(pixels, net.Pixels)
		return program.Forward(context.Background(), &ir.Args{})
	})
}

// serve runs once, writes the embedding, and answers requests until its input ends.
func serve(dir string, p backend.Program, once func() error) error {
	if err := once(); err != nil {
		return err
	}
	e, err := p.Output(model.OutEmbedding)
	if err != nil {
		return err
	}
	if err := network.WriteFloats(filepath.Join(dir, "embedding.f32"), e); err != nil {
		return err
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		start := time.Now()
		for range n {
			if err := once(); err != nil {
				return err
			}
		}
		fmt.Println(time.Since(start).Seconds())
	}
	return nil
}
