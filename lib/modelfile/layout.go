package modelfile

// What may stand in a table's field.
type fieldKind int

const (
	scalar       fieldKind = iota // size bytes inside the table
	text                          // offset of a string
	child                         // offset of a table
	scalarVector                  // offset of a vector of elements of size bytes
	textVector                    // offset of a vector of offsets of strings
	childVector                   // offset of a vector of offsets of tables
)

// field is one field of a table in the order of schema/model.fbs, which is that of the vtable.
type field struct {
	name     string
	kind     fieldKind
	size     uint64  // of a scalar or a vector's element, in bytes
	table    *layout // of children
	optional bool
}

// layout is one table of schema/model.fbs. Layouts hold no cycle, so a verified body is no deeper than they are.
type layout struct {
	name   string
	fields []field
}

var (
	tensorLayout = &layout{"Tensor", []field{
		{name: "name", kind: text},
		{name: "dtype", kind: scalar, size: 1, optional: true},
		{name: "shape", kind: scalarVector, size: 4},
		{name: "data", kind: scalarVector, size: 1},
	}}
	archLayout = &layout{"Arch", []field{
		{name: "backbone", kind: text},
		{name: "stem", kind: text},
		{name: "attention", kind: text},
		{name: "batch_norm", kind: text},
		{name: "head", kind: text},
		{name: "embedding_dim", kind: scalar, size: 4, optional: true},
	}}
	preprocessLayout = &layout{"Preprocess", []field{
		{name: "input_size", kind: scalar, size: 4, optional: true},
		{name: "resize_num", kind: scalar, size: 4, optional: true},
		{name: "resize_den", kind: scalar, size: 4, optional: true},
		{name: "mean", kind: scalarVector, size: 4},
		{name: "std", kind: scalarVector, size: 4},
	}}
	learnerLayout = &layout{"Learner", []field{
		{name: "neurons", kind: scalarVector, size: 4},
	}}
	namedIntLayout = &layout{"NamedInt", []field{
		{name: "name", kind: text},
		{name: "value", kind: scalar, size: 8, optional: true},
	}}
	namedFloatLayout = &layout{"NamedFloat", []field{
		{name: "name", kind: text},
		{name: "value", kind: scalar, size: 8, optional: true},
	}}
	namedBlobLayout = &layout{"NamedBlob", []field{
		{name: "name", kind: text},
		{name: "data", kind: scalarVector, size: 1},
	}}
	scoreLayout = &layout{"Score", []field{
		{name: "name", kind: text},
		{name: "values", kind: scalarVector, size: 8},
	}}
	cardLayout = &layout{"Card", []field{
		{name: "created", kind: scalar, size: 8, optional: true},
		{name: "library_version", kind: text},
		{name: "data_hash", kind: text},
		{name: "splits", kind: childVector, table: namedIntLayout},
		{name: "scores", kind: childVector, table: scoreLayout},
		{name: "intended_use", kind: text},
		{name: "notes", kind: text},
	}}
	checkpointLayout = &layout{"Checkpoint", []field{
		{name: "tensors", kind: childVector, table: tensorLayout},
		{name: "ints", kind: childVector, table: namedIntLayout},
		{name: "floats", kind: childVector, table: namedFloatLayout},
		{name: "blobs", kind: childVector, table: namedBlobLayout},
	}}
	modelLayout = &layout{"Model", []field{
		{name: "arch", kind: child, table: archLayout},
		{name: "preprocess", kind: child, table: preprocessLayout},
		{name: "class_names", kind: textVector},
		{name: "learners", kind: childVector, table: learnerLayout},
		{name: "tensors", kind: childVector, table: tensorLayout},
		{name: "card", kind: child, table: cardLayout},
		{name: "checkpoint", kind: child, table: checkpointLayout, optional: true},
		{name: "ranges", kind: childVector, table: namedFloatLayout, optional: true},
	}}
	galleryLayout = &layout{"Gallery", []field{
		{name: "model", kind: text},
		{name: "learners", kind: childVector, table: learnerLayout},
		{name: "tensors", kind: childVector, table: tensorLayout},
	}}
)
