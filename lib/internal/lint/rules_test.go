package lint

// rule is one package's place: it may import packages of lower levels, and those of its own level that it names.
type rule struct {
	level int
	same  []string
}

// packages are all packages of the repository, by folder under lib/; "capi" is the top-level one. A folder inside
// another package's internal/ follows that package's rule.
var packages = map[string]rule{
	"errs":         {level: 0},
	"device":       {level: 0, same: []string{"errs"}},
	"rng":          {level: 0, same: []string{"errs"}},
	"internal/par": {level: 0, same: []string{"errs"}}, // goroutines forward panics as errors

	"internal/lint": {level: 0},
	"internal/simd": {level: 0},

	"internal/hugepage": {level: 0},

	"internal/osthread": {level: 0, same: []string{"errs"}},

	"imageio/imagetest": {level: 0}, // test pictures

	"ir": {level: 1},

	"plan":    {level: 2},
	"backend": {level: 2, same: []string{"plan"}}, // a backend compiles plans

	"backend/goref":         {level: 3},
	"backend/onednn":        {level: 3},
	"backend/cuda":          {level: 3, same: []string{"backend/cuda/driver", "backend/cuda/kernels", "backend/cuda/nvlib"}},
	"backend/cuda/driver":   {level: 3},
	"backend/cuda/kernels":  {level: 3},
	"backend/cuda/nvlib":    {level: 3},
	"backend/cuda/emulated": {level: 3}, // test doubles of the driver and of NVIDIA's libraries

	"backend/cuda/emulated/doubles": {level: 3},
	"backend/cuda/driver/include":   {level: 3},

	"backend/backendtest": {level: 3, same: []string{"backend/goref"}}, // the reference of the conformance suite
	"graph":               {level: 3, same: []string{"backend/goref"}}, // the ops' reference kernels
	"graph/graphtest":     {level: 3, same: []string{"backend/goref"}}, // runs a test's program

	"nn":       {level: 4},
	"backbone": {level: 4, same: []string{"nn"}},
	"distance": {level: 4},
	"miner":    {level: 4, same: []string{"distance"}},
	"loss":     {level: 4, same: []string{"distance", "miner"}}, // a pair loss mines its own pairs
	"cluster":  {level: 4, same: []string{"distance"}},
	"metric":   {level: 4, same: []string{"distance"}},
	"learner":  {level: 4},
	"imageio":  {level: 4},
	"dataset":  {level: 4, same: []string{"imageio"}},

	"model": {level: 5},

	"modelfile": {level: 6},
	"index":     {level: 6, same: []string{"modelfile"}}, // its galleries are .dsl files
	"eval":      {level: 6, same: []string{"index"}},

	"train": {level: 7},
	"dsl":   {level: 8},
	"capi":  {level: 9},
}

// testOnly lists what the tests of a package may import beside its rule.
var testOnly = map[string][]string{
	"internal/simd":  {"rng"},
	"graph":          {"graph/graphtest"},
	"backend/goref":  {"backend/backendtest"},
	"backend/onednn": {"backend/backendtest", "backend/goref"},
	"backend/cuda":   {"backend/backendtest", "backend/cuda/emulated", "backend/goref"},

	"backend/cuda/driver":   {"backend/cuda/emulated", "backend/cuda/kernels"},
	"backend/cuda/emulated": {"backend/cuda/driver"},
	"backend/cuda/kernels":  {"backend/cuda/driver", "backend/cuda/emulated", "backend/goref"},
	"backend/cuda/nvlib":    {"backend/cuda/driver", "backend/cuda/emulated"},
}

// owners name the only packages that may import a module or a standard package (with all below it), in tests too. What
// is neither listed here, nor of libdsl, nor of the standard library, may be imported by nobody.
var owners = map[string][]string{
	"gorgonia.org/gorgonia":         {"graph"},
	"gorgonia.org/tensor":           {"graph"},
	"github.com/chewxy/hm":          {"graph"}, // the types of Gorgonia's ops
	"gorgonia.org/cu":               {"backend/cuda/driver"},
	"github.com/google/flatbuffers": {"modelfile"},
	"github.com/klauspost/compress": {"modelfile"}, // zstd
	"image/gif":                     {"imageio"},
	"image/jpeg":                    {"imageio", "imageio/imagetest"},
	"image/png":                     {"imageio", "imageio/imagetest"},
	"C":                             {"backend/onednn", "backend/cuda/driver", "backend/cuda/nvlib", "backend/cuda/emulated", "imageio", "imageio/imagetest", "internal/simd", "capi"},
}

// native name the only packages whose C, C++ and cgo text may speak of a library.
var native = map[string][]string{
	"dnnl":      {"backend/onednn"},
	"jpeglib":   {"imageio", "imageio/imagetest"},
	"cuda.h":    {"backend/cuda/driver"},
	"cudnn":     {"backend/cuda/nvlib", "backend/cuda/emulated/doubles"},
	"cublas":    {"backend/cuda/nvlib", "backend/cuda/emulated/doubles"},
	"//export ": {"capi"},
}
