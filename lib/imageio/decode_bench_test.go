package imageio

import (
	"bytes"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"libdsl/lib/rng"
)

// photograph is a JPEG of 600×450 pixels with colours that change slowly and some noise: about 48 KB, 4:2:0, quality 90.
func photograph(b *testing.B) string {
	m := image.NewYCbCr(image.Rect(0, 0, 600, 450), image.YCbCrSubsampleRatio420)
	s := rng.New(1, "photograph")
	for y := range 450 {
		for x := range 600 {
			wave := (x*x/900 + y*y/500 + x*y/700) % 160
			m.Y[m.YOffset(x, y)] = uint8(60 + wave/2 + (x/40+y/30)%5*12 + s.IntN(8))
			m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = uint8(110+wave/8), uint8(150-wave/8)
		}
	}
	var data bytes.Buffer
	if err := jpeg.Encode(&data, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "photograph.jpg")
	if err := os.WriteFile(path, data.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// cpu is the time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDecodeAndResize is a picture's way into a batch. cpu-us/op also holds where other programs run beside.
func BenchmarkDecodeAndResize(b *testing.B) {
	path := photograph(b)
	var d Decoder
	var r Resizer
	dst := make([]uint8, 3*224*224)
	for name, transform := range map[string]func(m *Image){
		"to 224x224": func(m *Image) {
			r.resize(dst, m, rect{0, 0, m.Width, m.Height}, 224, 224, rect{0, 0, 224, 224}, false, false)
		},
		"evaluation at 224": func(m *Image) { r.Evaluate(dst, m, 224) },
		"decoding only":     func(*Image) {},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			begun := cpu()
			for b.Loop() {
				m, err := d.DecodeFile(path, 0)
				if err != nil {
					b.Fatal(err)
				}
				transform(m)
			}
			b.ReportMetric(float64((cpu()-begun).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}
