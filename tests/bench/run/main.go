// Command run is libdsl's side of bench.py: it compiles a network (package network), writes its embedding to FOLDER/embedding.f32 and says "ready".
// For each number N that it then reads it computes N iterations and answers the seconds that they took.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"libdsl/lib/backend"
	"libdsl/tests/internal/network"
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

// serve runs once, writes the embedding, and answers requests until its input ends.
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
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		took, _, err := task.Run(n)
		if err != nil {
			return err
		}
		fmt.Println(took.Seconds())
	}
	return nil
}
