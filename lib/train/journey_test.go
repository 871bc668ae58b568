package train

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"libdsl/lib/backend/onednn"
	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

var hashSeed = maphash.MakeSeed()

// digest is of all that a checkpoint holds, but for the clock and the length of the log.
func digest(t *testing.T, c *Checkpoint) uint64 {
	t.Helper()
	f, err := c.File(modelfile.Card{})
	if err != nil {
		t.Fatal(err)
	}
	h := maphash.Hash{}
	h.SetSeed(hashSeed)
	put := func(name string, data any) {
		h.WriteString(name)
		if v, ok := data.([]float32); ok { // nearly all of it
			h.Write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v)))
			return
		}
		if err := binary.Write(&h, binary.LittleEndian, data); err != nil {
			t.Fatal(err)
		}
	}
	s := f.Checkpoint
	for _, v := range append(slices.Clone(f.Tensors), s.Tensors...) {
		put(v.Name, v.Data)
	}
	for _, l := range f.Learners {
		put("learner", l)
	}
	for _, v := range s.Ints {
		if v.Name != "log_bytes" {
			put(v.Name, v.Value)
		}
	}
	for _, v := range s.Floats {
		if v.Name != "elapsed_s" {
			put(v.Name, math.Float64bits(v.Value))
		}
	}
	for _, v := range s.Blobs {
		put(v.Name, v.Data)
	}
	put(f.Arch.BatchNorm+f.Arch.Head, int64(f.Arch.EmbeddingDim))
	return h.Sum64()
}

// journey is a training whose checkpoints and messages are seen.
type journey struct {
	t    *testing.T
	d    *dataset.Dataset
	o    Options
	text bytes.Buffer
	kept *Checkpoint // the last one
	last *Result
}

// run goes from the last checkpoint, if there is one, until stop says so. stop may cancel or return false.
func (j *journey) run(stop func(p *Progress, cancel func()) bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := j.o
	log := NewLog(&j.text)
	if j.kept != nil {
		j.text.Truncate(int(j.kept.LogBytes))
		log = ContinueLog(&j.text, j.kept.LogBytes)
	}
	o.Checkpoints = Checkpoints{Every: time.Hour, Version: "test", Resume: j.kept, Save: func(c *Checkpoint) error {
		c.LogBytes = log.Bytes()
		j.kept = c
		return nil
	}, Resumed: func(differences []string) error {
		if len(differences) != 0 {
			j.t.Errorf("resumed with differences %v", differences)
		}
		return nil
	}}
	res, err := Run(ctx, onednn.Backend{}, j.d, o, func(p *Progress) bool {
		log.Write(p)
		return stop(p, cancel)
	}, nil)
	if err != nil && errs.KindOf(err) != errs.Cancelled {
		j.t.Fatal(err)
	}
	j.last = res
	return err
}

// throughFile is the checkpoint after it was a file.
func throughFile(t *testing.T, c *Checkpoint) *Checkpoint {
	t.Helper()
	f, err := c.File(modelfile.Card{DataHash: c.data, LibraryVersion: c.version})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	back, err := CheckpointOf(f)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// lines are the log's, without the clock and what only a resumed run tells.
func lines(t *testing.T, text []byte) (out []string) {
	t.Helper()
	for raw := range bytes.SplitSeq(bytes.TrimSpace(text), []byte("\n")) {
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if strings.HasPrefix(l.Message, "going on after step") {
			continue
		}
		l.ElapsedS, l.WaitedS = 0, 0
		again, _ := json.Marshal(l)
		out = append(out, string(again))
	}
	return out
}

func sameModels(t *testing.T, what string, got, want *model.Model) {
	t.Helper()
	if !slices.EqualFunc(got.Learners.Subspaces(), want.Learners.Subspaces(), slices.Equal) || len(got.Weights) != len(want.Weights) {
		t.Errorf("%s model: got learners %v, want %v", what, got.Learners.Subspaces(), want.Learners.Subspaces())
	}
	for name, w := range want.Weights {
		if !slices.Equal(got.Weights[name], w) {
			t.Errorf("%s model: %s differs", what, name)
		}
	}
}

// moment is a message of a run that is stopped there: by false, or by cancelling, which is noticed within what comes next.
type moment struct {
	event  Event
	nth    int // 1 is the first; growths count from the first grouping
	cancel bool
}

// counted are the messages of one kind, but for notes other than of a grouping.
func counted(p *Progress) bool {
	return p.Event != EventNote || strings.HasPrefix(p.Message, "grouping")
}

// inParts runs to the end with stops at the moments. It knows a moment by how often its message came at another step than before, as a resumed
// run may tell it again.
func (j *journey) inParts(stops []moment) {
	left := slices.Clone(stops)
	last, times := map[Event]int64{EventStep: -1, EventValidated: -1, EventGrew: -1, EventNote: -1}, map[Event]int{}
	for {
		stopped := false
		err := j.run(func(p *Progress, cancel func()) bool {
			if !counted(p) || p.Stage == Prepare || stopped || p.Step <= last[p.Event] {
				return true
			}
			last[p.Event] = p.Step
			times[p.Event]++
			i := slices.IndexFunc(left, func(m moment) bool { return m.event == p.Event && m.nth == times[p.Event] })
			if i < 0 {
				return true
			}
			stopped = true
			if left[i].cancel {
				cancel()
			}
			no := !left[i].cancel
			left = slices.Delete(left, i, i+1)
			return !no
		})
		if err == nil {
			break
		}
		j.kept = throughFile(j.t, j.kept)
	}
	if len(left) != 0 {
		j.t.Errorf("never stopped at %v", left)
	}
}

// equals compares two runs that ended: all of their state, the models, the scores and the log.
func (j *journey) equals(want *journey) {
	t := j.t
	if j.kept.Step() != want.o.Steps || digest(t, j.kept) != digest(t, want.kept) {
		t.Errorf("the state after %d steps differs", j.kept.Step())
	}
	sameModels(t, "best", j.last.Best, want.last.Best)
	sameModels(t, "last", j.last.Last, want.last.Last)
	if fmt.Sprint(j.last.BestScore, j.last.LastScore, j.last.Steps, j.last.Growths) != fmt.Sprint(want.last.BestScore, want.last.LastScore, want.last.Steps, want.last.Growths) {
		t.Errorf("got %+v, want %+v", j.last, want.last)
	}
	got, all := lines(t, j.text.Bytes()), lines(t, want.text.Bytes())
	for i := range min(len(got), len(all)) {
		if got[i] != all[i] {
			t.Errorf("log line %d: got %s, want %s", i+1, got[i], all[i])
			break
		}
	}
	if len(got) != len(all) {
		t.Errorf("got %d log lines, want %d", len(got), len(all))
	}
}
