package modelfile

import (
	flatbuffers "github.com/google/flatbuffers/go"

	"libdsl/lib/errs"
	"libdsl/lib/modelfile/internal/fb"
)

const fileIdentifier = "DSL1"

// Encode is the file as bytes; equal contents give equal bytes.
// Errors: errs.Invalid when f breaks a rule of Check, holds more than 2 GiB, or compresses as only a bomb does.
func Encode(f *File) ([]byte, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	size := f.roughBytes()
	if size > maxBody-(1<<20) {
		return nil, errs.New(errs.Invalid, "modelfile: got %d bytes of tensors and blobs, want less than 2 GiB", size)
	}
	body := buildBody(f, int(size))
	if err := verifyBody(body, modelLayout); err != nil { // too many objects
		return nil, errs.Wrap(errs.Invalid, err, "modelfile")
	}
	kind := uint32(kindModel)
	if f.Checkpoint != nil {
		kind = kindCheckpoint
	}
	return pack(f.version(), kind, body)
}

// version is the lowest format version that can hold f.
func (f *File) version() uint32 {
	if len(f.Ranges) > 0 {
		return rangesVersion
	}
	return version1
}

// roughBytes is the body's size, a little overestimated.
func (f *File) roughBytes() uint64 {
	size := uint64(1<<16 + 8*f.Arch.EmbeddingDim + 64*len(f.Learners) + 4*maxTextBytes)
	size += roughTensors(f.Tensors)
	for _, name := range f.ClassNames {
		size += uint64(len(name)) + 16
	}
	size += uint64(len(f.Ranges)) * (maxNameBytes + 64)
	if c := f.Checkpoint; c != nil {
		size += roughTensors(c.Tensors)
		for _, b := range c.Blobs {
			size += uint64(len(b.Data)+len(b.Name)) + 64
		}
		size += uint64(len(c.Ints)+len(c.Floats)) * (maxNameBytes + 64)
	}
	return size
}

func roughTensors(list []Tensor) (size uint64) {
	for i := range list {
		dtype, n, _ := list[i].dataType()
		size += uint64(n)*uint64(elementSize(dtype)) + uint64(len(list[i].Name)) + 128
	}
	return size
}

// writer builds the FlatBuffer, children before parents.
type writer struct {
	*flatbuffers.Builder
	scratch []byte
}

type offset = flatbuffers.UOffsetT

func newWriter(size int) *writer { return &writer{Builder: flatbuffers.NewBuilder(size)} }

func buildBody(f *File, size int) []byte {
	w := newWriter(size)
	arch := w.arch(&f.Arch)
	preprocess := w.preprocess(&f.Preprocess)
	classNames := vector(w, f.ClassNames, w.CreateString)
	learners := vector(w, f.Learners, w.learner)
	tensors := vector(w, f.Tensors, w.tensor)
	card := w.card(&f.Card)
	var checkpoint offset
	if f.Checkpoint != nil {
		checkpoint = w.checkpoint(f.Checkpoint)
	}
	var ranges offset
	if len(f.Ranges) > 0 {
		ranges = vector(w, f.Ranges, w.namedFloat)
	}
	fb.ModelStart(w.Builder)
	fb.ModelAddArch(w.Builder, arch)
	fb.ModelAddPreprocess(w.Builder, preprocess)
	fb.ModelAddClassNames(w.Builder, classNames)
	fb.ModelAddLearners(w.Builder, learners)
	fb.ModelAddTensors(w.Builder, tensors)
	fb.ModelAddCard(w.Builder, card)
	if f.Checkpoint != nil {
		fb.ModelAddCheckpoint(w.Builder, checkpoint)
	}
	if len(f.Ranges) > 0 {
		fb.ModelAddRanges(w.Builder, ranges)
	}
	w.FinishWithFileIdentifier(fb.ModelEnd(w.Builder), []byte(fileIdentifier))
	return w.FinishedBytes()
}

// vector writes the items and a vector that points to them.
func vector[T any](w *writer, items []T, write func(T) offset) offset {
	offsets := make([]offset, len(items))
	for i, item := range items {
		offsets[i] = write(item)
	}
	return w.CreateVectorOfTables(offsets)
}

func (w *writer) int32s(v []int32) offset {
	w.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		w.PrependInt32(v[i])
	}
	return w.EndVector(len(v))
}

func (w *writer) float32s(v []float32) offset {
	w.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		w.PrependFloat32(v[i])
	}
	return w.EndVector(len(v))
}

func (w *writer) float64s(v []float64) offset {
	w.StartVector(8, len(v), 8)
	for i := len(v) - 1; i >= 0; i-- {
		w.PrependFloat64(v[i])
	}
	return w.EndVector(len(v))
}

func (w *writer) arch(a *Arch) offset {
	backbone, stem, attention := w.CreateString(a.Backbone), w.CreateString(a.Stem), w.CreateString(a.Attention)
	batchNorm, head := w.CreateString(a.BatchNorm), w.CreateString(a.Head)
	fb.ArchStart(w.Builder)
	fb.ArchAddBackbone(w.Builder, backbone)
	fb.ArchAddStem(w.Builder, stem)
	fb.ArchAddAttention(w.Builder, attention)
	fb.ArchAddBatchNorm(w.Builder, batchNorm)
	fb.ArchAddHead(w.Builder, head)
	fb.ArchAddEmbeddingDim(w.Builder, int32(a.EmbeddingDim))
	return fb.ArchEnd(w.Builder)
}

func (w *writer) preprocess(p *Preprocess) offset {
	mean, std := w.float32s(p.Mean[:]), w.float32s(p.Std[:])
	fb.PreprocessStart(w.Builder)
	fb.PreprocessAddInputSize(w.Builder, int32(p.InputSize))
	fb.PreprocessAddResizeNum(w.Builder, int32(p.ResizeNum))
	fb.PreprocessAddResizeDen(w.Builder, int32(p.ResizeDen))
	fb.PreprocessAddMean(w.Builder, mean)
	fb.PreprocessAddStd(w.Builder, std)
	return fb.PreprocessEnd(w.Builder)
}

func (w *writer) learner(neurons []int32) offset {
	v := w.int32s(neurons)
	fb.LearnerStart(w.Builder)
	fb.LearnerAddNeurons(w.Builder, v)
	return fb.LearnerEnd(w.Builder)
}

func (w *writer) tensor(t Tensor) offset {
	dtype, _, _ := t.dataType()
	w.scratch = appendShuffled(w.scratch[:0], t.Data)
	data := w.CreateByteVector(w.scratch)
	shape := w.int32s(t.Shape)
	name := w.CreateString(t.Name)
	fb.TensorStart(w.Builder)
	fb.TensorAddName(w.Builder, name)
	fb.TensorAddDtype(w.Builder, dtype)
	fb.TensorAddShape(w.Builder, shape)
	fb.TensorAddData(w.Builder, data)
	return fb.TensorEnd(w.Builder)
}

func (w *writer) card(c *Card) offset {
	version, hash := w.CreateString(c.LibraryVersion), w.CreateString(c.DataHash)
	use, notes := w.CreateString(c.IntendedUse), w.CreateString(c.Notes)
	splits := vector(w, c.Splits, func(s Count) offset { return w.namedInt(NamedInt(s)) })
	scores := vector(w, c.Scores, w.score)
	fb.CardStart(w.Builder)
	fb.CardAddCreated(w.Builder, c.Created)
	fb.CardAddLibraryVersion(w.Builder, version)
	fb.CardAddDataHash(w.Builder, hash)
	fb.CardAddSplits(w.Builder, splits)
	fb.CardAddScores(w.Builder, scores)
	fb.CardAddIntendedUse(w.Builder, use)
	fb.CardAddNotes(w.Builder, notes)
	return fb.CardEnd(w.Builder)
}

func (w *writer) score(s Score) offset {
	values, name := w.float64s(s.Values), w.CreateString(s.Name)
	fb.ScoreStart(w.Builder)
	fb.ScoreAddName(w.Builder, name)
	fb.ScoreAddValues(w.Builder, values)
	return fb.ScoreEnd(w.Builder)
}

func (w *writer) namedInt(v NamedInt) offset {
	name := w.CreateString(v.Name)
	fb.NamedIntStart(w.Builder)
	fb.NamedIntAddName(w.Builder, name)
	fb.NamedIntAddValue(w.Builder, v.Value)
	return fb.NamedIntEnd(w.Builder)
}

func (w *writer) namedFloat(v NamedFloat) offset {
	name := w.CreateString(v.Name)
	fb.NamedFloatStart(w.Builder)
	fb.NamedFloatAddName(w.Builder, name)
	fb.NamedFloatAddValue(w.Builder, v.Value)
	return fb.NamedFloatEnd(w.Builder)
}

func (w *writer) namedBlob(v NamedBlob) offset {
	data, name := w.CreateByteVector(v.Data), w.CreateString(v.Name)
	fb.NamedBlobStart(w.Builder)
	fb.NamedBlobAddName(w.Builder, name)
	fb.NamedBlobAddData(w.Builder, data)
	return fb.NamedBlobEnd(w.Builder)
}

func (w *writer) checkpoint(c *Checkpoint) offset {
	tensors := vector(w, c.Tensors, w.tensor)
	ints := vector(w, c.Ints, w.namedInt)
	floats := vector(w, c.Floats, w.namedFloat)
	blobs := vector(w, c.Blobs, w.namedBlob)
	fb.CheckpointStart(w.Builder)
	fb.CheckpointAddTensors(w.Builder, tensors)
	fb.CheckpointAddInts(w.Builder, ints)
	fb.CheckpointAddFloats(w.Builder, floats)
	fb.CheckpointAddBlobs(w.Builder, blobs)
	return fb.CheckpointEnd(w.Builder)
}
