package imageio

import "bytes"

// wholeProgression says whether the scans of a progressive JPEG bring every coefficient of every component to its full
// precision. A file cut between scans and closed with an end marker decodes without any warning to a coarse picture;
// this is how it is found. scans starts at the first scan's marker. Source: ITU-T T.81, G.1.1.1 and B.2.3.
func wholeProgression(scans []byte, components int) bool {
	const unseen = 0xFF
	left := map[byte]*[64]byte{} // by component: bits of each coefficient still to come
	for at := 0; at+4 <= len(scans); {
		marker := scans[at+1]
		n := int(scans[at+2])<<8 | int(scans[at+3])
		switch {
		case scans[at] != 0xFF || marker == 0xD9 || n < 2 || at+2+n > len(scans):
			return whole(left, components)
		case marker == 0xDA:
			segment := scans[at+4 : at+2+n]
			if len(segment) < 1 || len(segment) != 4+2*int(segment[0]) {
				return false
			}
			count := int(segment[0])
			from, to, bits := segment[1+2*count], segment[2+2*count], segment[3+2*count]&15
			for c := range count {
				id := segment[1+2*c]
				if left[id] == nil {
					left[id] = (*[64]byte)(bytes.Repeat([]byte{unseen}, 64))
				}
				for k := from; k <= min(to, 63); k++ {
					left[id][k] = bits
				}
			}
		}
		at += 2 + n
		at += nextMarker(scans[at:])
	}
	return whole(left, components)
}

func whole(left map[byte]*[64]byte, components int) bool {
	for _, bits := range left {
		if *bits != [64]byte{} {
			return false
		}
	}
	return len(left) == components
}

// nextMarker is where the entropy-coded bytes end: at a marker that is neither a stuffed zero nor a restart.
func nextMarker(data []byte) int {
	for at := 0; ; at++ {
		i := bytes.IndexByte(data[at:], 0xFF)
		if i < 0 || at+i+1 >= len(data) {
			return len(data)
		}
		at += i
		if m := data[at+1]; m != 0 && m != 0xFF && (m < 0xD0 || m > 0xD7) {
			return at
		}
	}
}
