package dsl

import (
	"context"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/eval"
	"libdsl/lib/imageio"
	"libdsl/lib/metric"
)

// Evaluate scores the model on a split of d ("" for all images) and returns the scores as indented JSON: see Evaluation.
// Errors: NotFound for a split without images, Invalid for one class only, Cancelled, and those of reading images.
func (s *Session) Evaluate(ctx context.Context, d *Dataset, split string) ([]byte, error) {
	data, err := d.data()
	if err != nil {
		return nil, err
	}
	indices, err := indicesOf(data, split)
	if err != nil {
		return nil, err
	}
	if len(indices) == 0 {
		return nil, errs.New(errs.NotFound, "dsl: evaluate: the dataset has no %q images", split)
	}
	dim := s.model.EmbeddingDim()
	x := make([]float32, len(indices)*dim)
	image := pictures(func(dec *imageio.Decoder, i int) (*Image, error) { return data.DecodeWith(dec, indices[i]) })
	if err := s.embed(ctx, len(indices), image, x); err != nil {
		return nil, err
	}
	var groups []int64
	if data.HasGroups() {
		groups = data.Groups(indices)
	}
	labels := data.Labels(indices)
	r, err := eval.Score(ctx, x, dim, labels, groups, metric.Options{Threads: s.threads, Device: backend.Arrays(s.backend, eval.Work(x, labels))})
	if err != nil {
		return nil, err
	}
	return indented(evaluationOf(split, s.model.NumLearners(), r))
}

// Evaluation is the JSON of Session.Evaluate.
type Evaluation struct {
	Split         string     `json:"split"`
	NumImages     int        `json:"num_images"`
	NumClasses    int        `json:"num_classes"`
	NumLearners   int        `json:"num_learners"`
	NMI           float64    `json:"nmi"`
	AMI           float64    `json:"ami"`
	SelfExcluded  Retrieval  `json:"self_excluded"`  // every image queries all others
	GroupExcluded *Retrieval `json:"group_excluded"` // all others but its group; null without groups
}

// Retrieval is one way to exclude, averaged over queries (micro) and over classes (macro).
type Retrieval struct {
	NumQueries int    `json:"num_queries"`
	NumDropped int    `json:"num_dropped"` // queries that nothing could match
	Micro      Scores `json:"micro"`
	Macro      Scores `json:"macro"`
}

// Scores of retrieval, in [0, 1].
type Scores struct {
	RecallAt1  float64 `json:"recall_at_1"`
	RecallAt2  float64 `json:"recall_at_2"`
	RecallAt4  float64 `json:"recall_at_4"`
	RecallAt8  float64 `json:"recall_at_8"`
	RPrecision float64 `json:"r_precision"`
	MAPAtR     float64 `json:"map_at_r"`
}

func evaluationOf(split string, learners int, r *eval.Report) Evaluation {
	out := Evaluation{Split: splitName(split), NumImages: r.Images, NumClasses: r.Classes, NumLearners: learners, NMI: r.NMI, AMI: r.AMI,
		SelfExcluded: retrievalOf(r.SelfExcluded)}
	if r.GroupExcluded != nil {
		g := retrievalOf(*r.GroupExcluded)
		out.GroupExcluded = &g
	}
	return out
}

// splitName names a split in a report.
func splitName(split string) string {
	if split == "" {
		return "all"
	}
	return split
}

func retrievalOf(a metric.Averages) Retrieval {
	scores := func(s metric.Scores) Scores {
		return Scores{s.RecallAtK[0], s.RecallAtK[1], s.RecallAtK[2], s.RecallAtK[3], s.RPrecision, s.MAPAtR}
	}
	return Retrieval{a.Queries, a.Dropped, scores(a.Micro), scores(a.Macro)}
}
