package cuda

import (
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/ir"
)

// adamChunk is a piece of a parameter, as the kernel adam_multi reads it.
type adamChunk struct {
	w, dw, m, v driver.Ptr
	n           int64
}

// chunkElements is the size of a piece, which one block updates.
const chunkElements = 8192

// adam adds the update of a parameter. Those without a count per row are collected, for updateAll to do in one launch.
func (p *program) adam(s *ir.Step) error {
	dw, w, m, v := p.at[s.In[0]], p.at[s.In[1]], p.at[s.In[2]], p.at[s.In[3]]
	n := p.shape(s.In[1]).Count()
	if s.Attrs.PerRow {
		rows := p.shape(s.In[1])[0]
		return p.plain(s.Phase, "adam_rows", grid{rows, 1}, uint64(w), uint64(dw), uint64(m), uint64(v), p.ptr(s.In[4]), p.ptr(s.In[5]),
			uint64(p.argsAt), uint64(n/rows))
	}
	for at := 0; at < n; at += chunkElements {
		by := driver.Ptr(4 * at)
		p.chunks = append(p.chunks, adamChunk{w + by, dw + by, m + by, v + by, int64(min(chunkElements, n-at))})
	}
	return nil
}

func (p *program) updateAll() error {
	if len(p.chunks) == 0 {
		return nil
	}
	bytes := int64(len(p.chunks)) * int64(unsafe.Sizeof(adamChunk{}))
	table, err := p.alloc(bytes)
	if err != nil {
		return err
	}
	host, err := p.pin(bytes)
	if err != nil {
		return err
	}
	copy(unsafe.Slice((*adamChunk)(host), len(p.chunks)), p.chunks)
	if err := p.ex.stream.CopyIn(table, host, bytes); err != nil {
		return err
	}
	if err := p.ex.stream.Synchronize(); err != nil {
		return err
	}
	return p.plain(ir.Update, "adam_multi", grid{len(p.chunks), 1}, uint64(table), uint64(p.argsAt))
}
