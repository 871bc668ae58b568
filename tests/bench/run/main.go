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
	_ "libdsl/lib/backend/onednn"
	"libdsl/lib/ir"
	"libdsl/lib/model"
	"libdsl/tests/internal/network"
)

func main() {
	name := flag.String("backend", "onednn", "backend")
	threads := flag.Int("threads", 2, "threads")
	task := flag.String("task", "train", "train or infer")
	flag.Parse()
	if flag.NArg() != 1 || *task != "train" && *task != "infer" {
		fmt.Fprintln(os.Stderr, "usage: run [-backend NAME] [-threads N] [-task train|infer] FOLDER")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *name, *task, *threads); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir, name, task string, threads int) error {
	be, err := backend.Open(name, backend.Device{})
	if err != nil {
		return err
	}
	net, err := network.Load(dir)
	if err != nil {
		return err
	}
	if task == "train" {
		return train(net, be, backend.Options{Threads: threads}, dir)
	}
	return infer(net, be, backend.Options{Threads: threads, Winograd: true}, dir)
}

func train(net *network.Network, be backend.Backend, o backend.Options, dir string) error {
	t, err := net.NewTraining(be, o)
	if err != nil {
		return err
	}
	defer t.Close()
	args := network.Adam(0, 1e-6, 1e-4) // a rate that hundreds of steps do not diverge at
	return serve(dir, t.Program, func() error {
		args.Step++
		return t.Step(args)
	})
}

func infer(net *network.Network, be backend.Backend, o backend.Options, dir string) error {
	tensors, err := model.Tensors(net.Arch, false)
	if err != nil {
		return err
	}
	store, err := be.NewStore(tensors)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := net.Weights.WriteTo(store); err != nil {
		return err
	}
	r, err := model.NewRunner(net.Arch, be, store, o, false)
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
	return serve(dir, program, func() error {
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
