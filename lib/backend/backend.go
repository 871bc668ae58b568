// Package backend is the contract between programs and the machines that run them.
//
// A Backend makes stores and executors. A Store holds the parameters and states of one model in the backend's memory; all programs of the
// model share it. An Executor is one operating-system thread with its own team or stream; it compiles plans into Programs and runs
// them one at a time. Sessions that must not wait for one another have an executor each.
//
// Lifetimes: a Program is closed before its Executor and its Store. Close may be called twice. All memory of tensors lies outside the Go heap
// where the device needs that; no call allocates once a program is compiled, but for errors.
//
// Threads: Store and Executor may be used from any goroutine; one Program has one user at a time. Writing a Store while a program that
// uses it runs is the caller's mistake.
package backend

import (
	"context"
	"maps"
	"slices"
	"sync"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// Backend runs plans on one device, in one precision. Two that are equal may share a Store.
type Backend interface {
	// Name is "goref", "onednn" or "cuda".
	Name() string
	// Device says for people what computes, and in which precision: "cpu, f32", "cuda:0, bf16".
	Device() string
	// Environment says what else the bits of results depend on, beside the device, the precision and the number of threads: kinds of processor,
	// versions of libraries.
	Environment() string
	// PlanOptions are what plan.Build needs to know of the backend.
	PlanOptions() plan.Options
	// Batches says in which batches images are computed best.
	Batches() Batches
	// NewStore makes zeroed memory for the Param and State tensors of a model. Errors: OutOfMemory, Invalid for a duplicate name.
	NewStore(tensors []ir.Tensor) (Store, error)
	// NewExecutor starts a thread. Errors: Device, OutOfMemory.
	NewExecutor(o Options) (Executor, error)
}

// Batches of images that pay.
type Batches struct {
	Pixels int  // of all images: more of them make a batch no faster for each image
	Padded bool // one batch that is not full takes less time than several smaller ones
}

// Chooser is a Backend that finds out by timing which kernels are fastest. Another process may find others, whose results differ by rounding: a
// training that goes on in it sets the choices of the first before it compiles anything.
type Chooser interface {
	// Choices are those that were made on the device so far. Equal choices give equal bytes.
	Choices() ([]byte, error)
	// SetChoices makes choices of another process this one's. Errors: Corrupt for anything but what Choices gave; Invalid when this process has made
	// another choice already, which stays, as do all others.
	SetChoices(choices []byte) error
}

// Precision is how numbers are kept and multiplied between steps; parameters, their gradients and the optimiser's state are always float32.
type Precision uint8

// Precisions. Auto is what the device does best at full accuracy of results: float32 on a CPU, bfloat16 on a GPU that multiplies it.
const (
	Auto Precision = iota
	F32
	TF32 // float32 whose products are rounded to 10 bits, on a GPU
	BF16
	I8 // 8-bit integers in convolutions, forward only, for networks whose feature maps' ranges are known; on a CPU
)

// Device chooses a device of a backend's kind and the precision.
type Device struct {
	Ordinal   int // which GPU
	Precision Precision
}

// Options of an executor.
type Options struct {
	Threads int // CPU threads of the team, 0 for all that the process may use
	// Winograd allows Winograd convolutions forward and for the data gradient where they are faster. They round two to eight times
	// as much as direct convolution (up to 1.7e-6 of the output's norm against 2e-7). Weight gradients, where Winograd rounds no more than
	// direct convolution, use it always.
	Winograd bool
	// Nondeterministic allows kernels of a GPU that add up in another order each time, where they are faster: results differ by rounding from run to run.
	Nondeterministic bool
}

// Store holds named tensors; float32 ones are read and written as such, in the layout of ir (NHWC, KRSC, row-major).
type Store interface {
	// Write copies src into the tensor. Errors: NotFound, Invalid when the length differs.
	Write(name string, src []float32) error
	// Read copies the tensor to dst. Errors as Write.
	Read(name string, dst []float32) error
	// WriteInts and ReadInts are for I32 tensors.
	WriteInts(name string, src []int32) error
	ReadInts(name string, dst []int32) error
	Close() error
}

// Executor compiles and runs programs on its own thread.
type Executor interface {
	// Compile binds a plan to a store: every Param and State of the plan must be there with its shape. Errors: Unsupported for a step the backend
	// cannot run, NotFound or Invalid for the store, OutOfMemory.
	Compile(p *plan.Plan, s Store) (Program, error)
	Close() error
}

// Program is a compiled plan. Run order: Forward, then, in training, Backward, which also updates.
type Program interface {
	// Input is the staging memory of an Input tensor, dense, in the host's memory; write it before Forward or Backward.
	Input(name string) ([]byte, error)
	// InputF32 is Input of a float32 tensor.
	InputF32(name string) ([]float32, error)
	// Output is the value of an Output tensor, dense and in the layout of ir, valid until the next run.
	Output(name string) ([]float32, error)
	// Forward runs the Setup phase, if the store changed since the last time, and the Forward phase. Errors: Cancelled, Device. Then the outputs hold nothing
	// useful and the store is unchanged.
	Forward(ctx context.Context, a *ir.Args) error
	// Backward runs the Backward and Update phases. A cancelled one has changed nothing in the store.
	Backward(ctx context.Context, a *ir.Args) error
	// Kernels names the kernel that each step uses, for self-reports and checkpoints.
	Kernels() []string
	Close() error
}

// Opener opens a device. Errors: Device when it is not there, with the reason; Unsupported for a precision that it cannot compute in.
type Opener func(Device) (Backend, error)

var registry = struct {
	sync.Mutex
	m map[string]Opener
}{m: map[string]Opener{}}

// Register adds a kind of device; a backend's package calls it when it is imported.
func Register(name string, open Opener) {
	registry.Lock()
	defer registry.Unlock()
	registry.m[name] = open
}

// Open opens a device of that kind. Errors: NotFound, listing what there is, and those of Opener.
func Open(name string, d Device) (Backend, error) {
	registry.Lock()
	open := registry.m[name]
	have := slices.Sorted(maps.Keys(registry.m))
	registry.Unlock()
	if open == nil {
		return nil, errs.New(errs.NotFound, "backend: %q is not in this build, which has %v", name, have)
	}
	return open(d)
}

// OnCPU is the Opener of a backend that has one device and computes in float32.
func OnCPU(b Backend) Opener {
	return func(d Device) (Backend, error) {
		if d.Ordinal != 0 || d.Precision > F32 {
			return nil, errs.New(errs.Unsupported, "%s: it computes in float32 (precision \"f32\") on the CPU only", b.Name())
		}
		return b, nil
	}
}
