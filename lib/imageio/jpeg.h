// The decoding of a JPEG file by libjpeg-turbo, in two calls that share nothing: the size, so that the caller can refuse it and find memory, then pixels.
#ifndef DSL_JPEG_H
#define DSL_JPEG_H

enum { DSL_JPEG_MESSAGE = 200 }; // libjpeg's JMSG_LENGTH_MAX

enum { DSL_JPEG_OK, DSL_JPEG_DAMAGED, DSL_JPEG_MEMORY };

typedef struct {
    int width, height;
    char message[DSL_JPEG_MESSAGE]; // what was wrong
} dsl_jpeg_answer;

typedef struct {
    int x, y, w, h;
} dsl_jpeg_part;

// dsl_jpeg_size reads the header and overlooks its warnings. Where it fails the answer has the message.
int dsl_jpeg_size(const unsigned char *data, unsigned long bytes, dsl_jpeg_answer *answer);

// dsl_jpeg_pixels decodes the whole file; the answer gets a message, no size. Any warning, such as a cut file's, is an error, wherever in the file it is, and
// so are more than 500 scans. pixels has room for the picture, as RGB, or as CMYK with 4 channels. Inside the part, which is not empty and lies in the
// picture, they become what they are without a part; outside they are unspecified.
int dsl_jpeg_pixels(const unsigned char *data, unsigned long bytes, dsl_jpeg_answer *answer, unsigned char *pixels, int channels, dsl_jpeg_part part);

#endif
