package dsl

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"libdsl/lib/errs"
	"libdsl/lib/train"
)

// openCheckpoint reads the checkpoint that the run goes on from, if it is to and there is one.
func (r *run) openCheckpoint() error {
	if !r.options.Resume {
		return nil
	}
	c, err := train.ReadCheckpoint(train.CheckpointPath(r.options.OutPath))
	if errs.KindOf(err) == errs.NotFound {
		return nil
	}
	r.checkpoint = c
	return err
}

// checkpoints say how the run is kept. A run that starts anew removes the checkpoint of the one before, which would not fit its models any more.
func (r *run) checkpoints(files *train.Files) (train.Checkpoints, error) {
	c := train.Checkpoints{Resume: r.checkpoint, Resumed: r.resumed, Version: Version}
	if r.checkpoint == nil {
		path := train.CheckpointPath(r.options.OutPath)
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return c, pathError(err, "dsl: checkpoint %q: cannot remove it", filepath.Base(path))
		}
	}
	if r.options.CheckpointEveryS < 0 {
		return c, nil
	}
	c.Every = time.Duration(min(r.options.CheckpointEveryS*float64(time.Second), math.MaxInt64/2))
	c.Save = func(cp *train.Checkpoint) error {
		cp.LogBytes = r.log.Bytes()
		if r.file != nil {
			if err := r.file.Sync(); err != nil { // so that no checkpoint knows of a longer log
				return r.logError(err)
			}
		}
		return files.SaveCheckpoint(cp)
	}
	return c, nil
}

// checkLog sees that the log is one that the run can go on with: that of the run, or an empty file.
func (r *run) checkLog() error {
	st, err := r.file.Stat()
	if err != nil {
		return r.logError(err)
	}
	end := r.checkpoint.LogBytes
	if st.Size() == 0 || end == 0 {
		return nil
	}
	last := make([]byte, 1)
	if st.Size() >= end {
		if _, err := r.file.ReadAt(last, end-1); err != nil {
			return r.logError(err)
		}
	}
	if last[0] != '\n' {
		return errs.New(errs.Invalid, "dsl: log_path %q: it is not the log of the run that goes on: got %d bytes, want at least %d, the last of them a line's end; give another file",
			filepath.Base(r.options.LogPath), st.Size(), end)
	}
	return nil
}

// resumed cuts the log where the checkpoint was made: what stands behind is told again.
func (r *run) resumed(differences []string) error {
	r.differences = differences
	if r.file == nil {
		return nil
	}
	st, err := r.file.Stat()
	if err != nil {
		return r.logError(err)
	}
	end := min(r.checkpoint.LogBytes, st.Size())
	if err := r.file.Truncate(end); err != nil {
		return r.logError(err)
	}
	if _, err := r.file.Seek(end, io.SeekStart); err != nil {
		return r.logError(err)
	}
	r.log = train.ContinueLog(r.file, end)
	return nil
}
