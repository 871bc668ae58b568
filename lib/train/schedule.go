package train

import "math"

// Stage of a training.
type Stage int32

// Stages in order; the numbers are those of include/dsl.h.
const (
	Prepare  Stage = iota
	Warmup         // as a classification network
	Learn          // learners, each on its cluster
	Finetune       // the whole embedding on all images
	Done
)

func (s Stage) String() string {
	return [...]string{"prepare", "warmup", "learn", "finetune", "done"}[s]
}

// schedule divides the run's optimiser steps: warm-up [0, warmup), learners [warmup, finetune), fine-tuning [finetune, total). It counts steps,
// because epochs of skewed clusters are longer than others.
type schedule struct {
	total, warmup, finetune int64
	lastGrowth              int64 // no growth from here on: a new learner needs time
	o                       *Options
}

// newSchedule plans a run and fills the intervals of o, which are counted in epochs.
func newSchedule(o *Options, stepsPerEpoch int64) schedule {
	s := schedule{total: o.Steps, o: o}
	if s.total == 0 {
		s.total = int64(o.Epochs) * stepsPerEpoch
	}
	o.fillIntervals(s.total / stepsPerEpoch)
	if o.Loss == Classification {
		s.finetune, s.lastGrowth = s.total, 0
		return s
	}
	s.warmup = int64(math.Round(*o.WarmupShare * float64(s.total)))
	learn := float64(s.total - s.warmup)
	s.finetune = s.total - int64(math.Round(*o.FinetuneShare*learn))
	s.lastGrowth = s.finetune - int64(math.Round(0.1*learn))
	return s
}

// stage of the step that comes after done steps.
func (s *schedule) stage(done int64) Stage {
	switch {
	case done < s.warmup:
		return Warmup
	case done < s.finetune:
		return Learn
	case done < s.total:
		return Finetune
	}
	return Done
}

// rates are Adam's learning rates of that step, for the embedding's rows and for all else. Scores of classes train at one rate.
func (s *schedule) rates(done int64) (rows, others float64) {
	others = s.rate(done)
	if s.stage(done) == Warmup || s.o.Loss == Classification {
		return others, others
	}
	return others * s.o.EmbeddingRate / s.o.LearningRate, others
}

// rate is Adam's learning rate of that step: constant, or with a cosine decay to zero over the warm-up and over fine-tuning, and over all of a
// classification network's training.
func (s *schedule) rate(done int64) float64 {
	stage := s.stage(done)
	switch {
	case s.o.Loss == Classification:
		return s.decay(s.o.LearningRate, done, 0, s.total)
	case stage == Warmup:
		return s.decay(s.o.WarmupRate, done, 0, s.warmup)
	case stage == Finetune:
		return s.decay(s.o.LearningRate, done, s.finetune, s.total)
	}
	return s.o.LearningRate
}

func (s *schedule) decay(rate float64, done, from, to int64) float64 {
	if !s.o.RateDecay {
		return rate
	}
	return rate * 0.5 * (1 + math.Cos(math.Pi*float64(done-from)/float64(to-from)))
}

// left is the number of steps until the stage after done steps ends.
func (s *schedule) left(done int64) int64 {
	switch s.stage(done) {
	case Warmup:
		return s.warmup - done
	case Learn:
		return s.finetune - done
	}
	return s.total - done
}
