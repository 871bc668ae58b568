// Command run is libdsl's side of the benchmark's networks: it compiles a network (package network), writes its embedding to FOLDER/embedding.f32
// and takes its turns (package turns).
package main

import (
	"flag"
	"os"
	"path/filepath"
	"time"

	"libdsl/lib/backend"
	"libdsl/tests/internal/network"
	"libdsl/tests/internal/turns"
)

func main() {
	kind := flag.String("task", "train", "train, learn or infer")
	network.Main(func(n *network.Network, be backend.Backend, threads int) error {
		task, err := n.NewTask(*kind, be, backend.Options{Threads: threads})
		if err != nil {
			return err
		}
		defer task.Close()
		return serve(n.Dir, task)
	})
}

// serve runs once, writes the embedding, and takes turns.
func serve(dir string, task *network.Task) error {
	if _, _, err := task.Run(1); err != nil {
		return err
	}
	e, err := task.Embedding()
	if err != nil {
		return err
	}
	if err := network.WriteFloats(filepath.Join(dir, "embedding.f32"), e); err != nil {
		return err
	}
	return turns.Serve(os.Stdin, os.Stdout, nil, func(n int) (time.Duration, error) {
		took, _, err := task.Run(n)
		return took, err
	})
}
