// Command doubles builds the test doubles of NVIDIA's libraries and prints, a line each, the environment variables that lead libdsl to them.
// With them run.sh runs without a GPU, see README.md.
package main

import (
	"fmt"
	"os"

	"libdsl/lib/backend/cuda/emulated"
)

func main() {
	variables, err := emulated.Environment()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, v := range variables {
		fmt.Println(v)
	}
}
