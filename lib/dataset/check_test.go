package dataset

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
)

// withDamage is a folder of ten good pictures and three that are damaged.
func withDamage(t *testing.T) *Dataset {
	t.Helper()
	dir := t.TempDir()
	for i := range 10 {
		write(t, filepath.Join(dir, "ab"[i%2:][:1], fmt.Sprintf("good%d.png", i)), pngOf(t, uint8(i)))
	}
	write(t, filepath.Join(dir, "a", "cut.png"), pngOf(t, 3)[:60])
	write(t, filepath.Join(dir, "b", "empty.jpg"), nil)
	write(t, filepath.Join(dir, "b", "picture.gif"), []byte("GIF89a......"))
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCheckNamesWhatCannotBeDecoded(t *testing.T) {
	for _, workers := range []int{0, 1, 5} {
		d, last := withDamage(t), 0
		bad, err := d.Check(context.Background(), CheckOptions{Workers: workers, Progress: func(done, total int) {
			if done != last+1 || total != 13 {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		}})
		if errs.KindOf(err) != errs.Corrupt || len(bad) != 3 || last != 13 || len(d.Samples) != 13 {
			t.Fatalf("got %v, %v, progress %d, %d samples", err, bad, last, len(d.Samples))
		}
		for _, want := range []string{"3 of 13", `"cut.png"`, `"empty.jpg"`, `"picture.gif"`, "GIF"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is missing: %v", want, err)
			}
		}
	}
}

func TestCheckSkipsAndReportsWhenAsked(t *testing.T) {
	d := withDamage(t)
	bad, err := d.Check(context.Background(), CheckOptions{SkipUnreadable: true})
	if err != nil || len(bad) != 3 || len(d.Samples) != 10 {
		t.Fatalf("got %v, %v, %d samples", err, bad, len(d.Samples))
	}
	if d.CachedBytes() != 10*20*15*3 {
		t.Errorf("the cache holds %d bytes, want ten pictures", d.CachedBytes())
	}
	for i, s := range d.Samples { // each picture went to its new place
		img, err := d.Decode(i)
		var n int
		if _, scanErr := fmt.Sscanf(s.Name, "good%d.png", &n); scanErr != nil || err != nil || img.Pix[3] != uint8(n+1) {
			t.Errorf("sample %d, %s: got %v, %v", i, s.Name, img.Pix[:6], err)
		}
	}
	if bad, err = d.Check(context.Background(), CheckOptions{}); bad != nil || err != nil {
		t.Errorf("the second check: %v, %v", bad, err)
	}
}

func TestCheckWithNothingReadable(t *testing.T) {
	d, err := readText(t, "path,label\nmissing.png,0\ngone.png,1\n")
	if err != nil {
		t.Fatal(err)
	}
	bad, err := d.Check(context.Background(), CheckOptions{SkipUnreadable: true})
	if errs.KindOf(err) != errs.Invalid || len(bad) != 2 || errs.KindOf(bad[0].Err) != errs.NotFound || len(d.Samples) != 2 {
		t.Errorf("got %v, %v", err, bad)
	}
}

func TestCheckReadsWhatTrainingReads(t *testing.T) {
	for _, c := range []struct {
		split string // of the picture that is cut
		want  errs.Kind
	}{{"train", errs.Corrupt}, {"val", errs.Corrupt}, {"test", errs.OK}} {
		dir, rows := t.TempDir(), "path,label,split\n"
		for _, split := range []string{"train", "val", "test"} {
			for i := range 3 {
				data := pngOf(t, uint8(i))
				if i == 2 && split == c.split {
					data = data[:60]
				}
				name := fmt.Sprintf("%s%d.png", split, i)
				write(t, filepath.Join(dir, name), data)
				rows += fmt.Sprintf("%s,%d,%s\n", name, i%2, split)
			}
		}
		d, err := Open(write(t, filepath.Join(dir, "m.csv"), []byte(rows)))
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		bad, err := d.Check(context.Background(), CheckOptions{Progress: func(done, total int) { read = total }})
		if errs.KindOf(err) != c.want || read != 6 || len(d.Indices(Test)) != 3 {
			t.Errorf("cut in %s: got %v, %v after %d pictures", c.split, bad, err, read)
		}
		bad, err = d.Check(context.Background(), CheckOptions{SkipUnreadable: true})
		if err != nil || (len(bad) == 1) != (c.want == errs.Corrupt) || len(d.Indices(Test)) != 3 {
			t.Errorf("cut in %s, to be skipped: got %v, %v", c.split, bad, err)
		}
	}
}

func TestCheckStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	d, calls := drawn(t, 500, 2), 0
	_, err := d.Check(ctx, CheckOptions{Workers: 2, Progress: func(int, int) {
		calls++
		cancel()
	}})
	if errs.KindOf(err) != errs.Cancelled || calls != 1 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}

func TestTheCacheKeepsToItsLimit(t *testing.T) {
	d := drawn(t, 10, 2)
	const one = 24 * 32 * 3
	for _, c := range []struct{ limit, want int64 }{{0, 0}, {one - 1, 0}, {3*one + 5, 3 * one}, {1 << 30, 10 * one}} {
		d.SetCacheLimit(c.limit)
		if _, err := d.Check(context.Background(), CheckOptions{Workers: 1}); err != nil {
			t.Fatal(err)
		}
		if d.CachedBytes() != c.want {
			t.Errorf("limit %d: the cache holds %d bytes, want %d", c.limit, d.CachedBytes(), c.want)
		}
	}
	a, _ := d.Decode(4)
	b, _ := d.Decode(4)
	if a != b {
		t.Error("a cached picture was decoded again")
	}
}

func TestCachedPicturesAreNotTheDecodersMemory(t *testing.T) {
	dir := t.TempDir()
	for name, shade := range map[string]uint8{"a/1.png": 10, "b/2.png": 200} {
		write(t, filepath.Join(dir, name), pngOf(t, shade))
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var dec imageio.Decoder
	for _, limit := range []int64{0, DefaultCacheBytes} {
		d.SetCacheLimit(limit)
		for round := range 2 { // decoded, then from the cache
			for i := range d.Samples {
				got, err := d.DecodeWith(&dec, i)
				if err != nil {
					t.Fatal(err)
				}
				want, err := imageio.DecodeFile(d.Samples[i].Path, 0)
				if err != nil || !bytes.Equal(got.Pix, want.Pix) {
					t.Errorf("limit %d, round %d, picture %d: other pixels than the file's (%v)", limit, round, i, err)
				}
			}
		}
	}
}
