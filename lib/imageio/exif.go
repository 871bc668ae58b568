package imageio

import "encoding/binary"

// exifOrientation reads the orientation tag of the first image directory of an EXIF block (a TIFF header and its
// directories). Anything unreadable, and a value outside 1 to 8, is Upright.
// Source: EXIF 2.32 (CIPA DC-008) §4.6, TIFF 6.0 §2.
func exifOrientation(tiff []byte) Orientation {
	if len(tiff) < 8 {
		return Upright
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(tiff[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return Upright
	}
	dir := uint64(order.Uint32(tiff[4:]))
	if dir+2 > uint64(len(tiff)) {
		return Upright
	}
	entries := uint64(order.Uint16(tiff[dir:]))
	for i := range entries {
		at := dir + 2 + 12*i
		if at+12 > uint64(len(tiff)) {
			return Upright
		}
		const orientationTag, short = 0x0112, 3
		if order.Uint16(tiff[at:]) != orientationTag {
			continue
		}
		v := order.Uint16(tiff[at+8:])
		if order.Uint16(tiff[at+2:]) != short || order.Uint32(tiff[at+4:]) != 1 || v < 1 || v > 8 {
			return Upright
		}
		return Orientation(v)
	}
	return Upright
}
