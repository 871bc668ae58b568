// Package imageio turns image files and arrays into pixels, and pixels into network input.
//
// Files are JPEG (libjpeg-turbo) or PNG (image/png), told apart by their first bytes, never by their name. Every input
// is hostile until checked: sizes are limited before pixels are allocated, and a damaged or cut file is an error, never
// a half-gray picture. All that comes out is 8-bit RGB, rows top to bottom, as the picture is displayed (EXIF
// orientation applied); gray is three equal channels.
//
// The transforms (Resizer) give uint8 NHWC at any size; Geometry carries a heatmap back to the file's own pixels.
// The package knows neither labels nor data sets.
package imageio
