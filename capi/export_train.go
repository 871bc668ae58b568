package main

/*
#include "shim.h"
#include <stdlib.h>
*/
import "C"

import (
	"unsafe"

	"libdsl/lib/dsl"
)

//export goTrain
func goTrain(dataset C.uintptr_t, o *C.dsl_train_options, token C.uintptr_t, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		d, err := use[*dsl.Dataset](c, uintptr(dataset))
		if err != nil {
			return err
		}
		ctx, stop := watch(token)
		defer stop()
		json, err := dsl.Train(ctx, d, trainOptions(o), progressTo(o.progress, o.progress_user))
		if err != nil {
			return err
		}
		if made != nil {
			*made = C.uintptr_t(create(report(json)))
		}
		return nil
	})
}

func trainOptions(o *C.dsl_train_options) dsl.TrainOptions {
	return dsl.TrainOptions{
		OutPath: text(o.out_path), LogPath: text(o.log_path), InitPath: text(o.init_path), Backbone: text(o.backbone), Stem: text(o.stem),
		Attention: text(o.attention), Profile: text(o.profile), Device: text(o.device), Precision: text(o.precision),
		Learners: int(o.learners), EmbeddingDim: int(o.embedding_dim), InputSize: int(o.input_size),
		Epochs: int(o.epochs), Steps: int64(o.steps), BatchSize: int(o.batch_size), ImagesPerClass: int(o.images_per_class),
		Threads: int(o.threads), SkipUnreadable: o.skip_unreadable != 0, Seed: uint64(o.seed),
		LearningRate: float64(o.learning_rate), ValidationShare: float64(o.validation_share),
		WarmupShare: optional(o.warmup_share), FinetuneShare: optional(o.finetune_share),
		Loss: text(o.loss), Mining: text(o.mining), Beta: text(o.beta), ClusterSpace: text(o.cluster_space),
		ReclusterEvery: int(o.recluster_every), Patience: int(o.patience), EmbeddingRate: float64(o.embedding_rate),
		ExactConvolutions: o.exact_convolutions != 0, Nondeterministic: o.nondeterministic != 0, Resume: o.resume != 0, CheckpointEveryS: float64(o.checkpoint_every_s),
	}
}

// optional copies a number, nil for NULL.
func optional(p *C.double) *float64 {
	if p == nil {
		return nil
	}
	return new(float64(*p))
}

// progressTo calls the caller's function on the caller's thread: dsl.Train calls back on its own goroutine, which is
// locked to that thread as long as the exported function runs.
func progressTo(fn C.dsl_progress_fn, user unsafe.Pointer) func(*dsl.Progress) bool {
	if fn == nil {
		return nil
	}
	return func(p *dsl.Progress) bool {
		c := C.dsl_progress{
			struct_size: C.uint32_t(unsafe.Sizeof(C.dsl_progress{})),
			stage:       C.int32_t(p.Stage), event: C.int32_t(p.Event), epoch: C.int32_t(p.Epoch), num_learners: C.int32_t(p.NumLearners),
			learner: C.int32_t(p.Learner), step: C.int64_t(p.Step), num_steps: C.int64_t(p.NumSteps), learning_rate: C.double(p.LearningRate),
			loss: C.double(p.Loss), nmi: C.double(p.NMI), recall_at_1: C.double(p.RecallAt1), macro_recall_at_1: C.double(p.MacroRecallAt1),
			elapsed_s: C.double(p.ElapsedS),
		}
		if p.Best {
			c.best = 1
		}
		if p.Message != "" {
			c.message = C.CString(p.Message)
			defer C.free(unsafe.Pointer(c.message))
		}
		return C.shim_call_progress(fn, &c, user) == 0
	}
}
