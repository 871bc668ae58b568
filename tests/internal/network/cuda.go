//go:build gpu

package network

// Only the programs that tests/gpu builds need the GPU's backend, and what Go has to be told to build it (tests/setup.sh).
import _ "libdsl/lib/backend/cuda"
