/*
 * libdsl: attention-based dynamic subspace metric learning for medical images. For research, not a medical device.
 *
 * Status     Functions that can fail return an int32_t, DSL_STATUS_OK or one of the numbers below, which never change.
 *            dsl_last_error_message() then says what was wrong, in words, for the calling thread.
 * Handles    dsl_model, dsl_session, ... are opaque. Every one is freed by its own dsl_..._free, once, in any order; NULL
 *            is allowed. What a handle needs stays alive inside, so a model may be freed before its sessions. A freed or
 *            foreign handle is DSL_STATUS_INVALID. After an internal error a handle is poisoned: free it.
 * Outputs    Memory belongs to the caller. Lengths count elements (floats, chars), not bytes, unless the name says so. A
 *            buffer that is too small is DSL_STATUS_BUFFER_TOO_SMALL and nothing is written to it. After a
 *            failed call handles are NULL and arrays hold nothing useful.
 * Structs    The first member is struct_size; set it by DSL_INIT or by hand, with every other byte 0. Zero, NULL and 0.0 mean
 *            the default; where a number's 0 makes sense, the member is a pointer to it. Later versions append members; a library that does not know a member that is set says
 *            DSL_STATUS_ABI_MISMATCH.
 * Strings    UTF-8, ending in NUL. Messages name files by their base name only, since paths can carry patient names.
 * Threads    Models and images never change and may be shared. A session, a dataset: one call at a time (further calls wait).
 *            Callbacks run on the thread that made the call. dsl_cancel_token_cancel is safe from any thread and from a signal
 *            handler; no other function is safe in one.
 * fork()     A child of fork() cannot use the library: every call returns DSL_STATUS_FORKED. Use spawn or forkserver.
 * Unloading  The library stays loaded; dlclose has no effect. Signal handlers of the host need SA_ONSTACK.
 *
 * C99, and C++11 or later.
 */
#ifndef DSL_H
#define DSL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DSL_API __attribute__((visibility("default")))
#define DSL_CHECKED __attribute__((visibility("default"), warn_unused_result))
#else
#define DSL_API
#define DSL_CHECKED
#endif

#define DSL_ABI_VERSION 1
#define DSL_VERSION_STRING "0.1.0"

/* ---- status ---------------------------------------------------------------------------------------------------- */

#define DSL_STATUS_OK 0
#define DSL_STATUS_INVALID 1     /* an argument, or what a file asks for, makes no sense */
#define DSL_STATUS_NOT_FOUND 2   /* no such file, class, split */
#define DSL_STATUS_CORRUPT 3     /* a damaged file */
#define DSL_STATUS_UNSUPPORTED 4 /* sound, but not in this version or build */
#define DSL_STATUS_DEVICE 5      /* the device failed or is not there */
#define DSL_STATUS_OUT_OF_MEMORY 6
#define DSL_STATUS_CANCELLED 7 /* by a token or a progress callback */
#define DSL_STATUS_IO 8        /* reading or writing failed */
#define DSL_STATUS_BUFFER_TOO_SMALL 9
#define DSL_STATUS_FORKED 10       /* called in a child of fork() */
#define DSL_STATUS_POISONED 11     /* an earlier call on this handle failed inside the library */
#define DSL_STATUS_ABI_MISMATCH 12 /* the caller was built for a newer header */
#define DSL_STATUS_INTERNAL 13     /* a defect of libdsl: please report it */

/* The name of a status, such as "invalid argument". Never NULL. Works everywhere, after fork() too. */
DSL_API const char *dsl_status_name(int32_t status);

/* What was wrong in the calling thread's last call that returned a status; "" after a success. Never NULL. Valid until
 * the thread's next call that returns a status. */
DSL_API const char *dsl_last_error_message(void);

/* ---- library --------------------------------------------------------------------------------------------------- */

/* DSL_ABI_VERSION and DSL_VERSION_STRING of the library that is loaded. A caller checks the first before all else. */
DSL_API int32_t dsl_abi_version(void);
DSL_API const char *dsl_version_string(void);

/* CPU threads for all that is started from now on and gives no number itself; 0 means one for each core that the process
 * may use, which is also the start. The environment (OMP_NUM_THREADS, GOMAXPROCS) is not read later than the load. */
DSL_CHECKED int32_t dsl_set_num_threads(int32_t num_threads);

/* ---- GPUs ------------------------------------------------------------------------------------------------------ */

/* The NVIDIA GPUs that sessions and trainings can use: 0 where there is none or it cannot be used; dsl_device_info of device 0 then
 * says why. The first call, like the first session or training on a device other than "cpu", loads the CUDA driver, cuDNN and cuBLAS;
 * before it libdsl touches none of them. */
DSL_CHECKED int32_t dsl_device_count(int32_t *out_num_devices);

/* GPU device (0 for "cuda:0") as JSON: name, compute capability, memory in bytes, versions of driver, cuDNN and cuBLAS. Sizes as in
 * dsl_model_info. Errors: DEVICE with the reason why it cannot be used and what to do. */
DSL_CHECKED int32_t dsl_device_info(int32_t device, char *out_text, size_t capacity, size_t *out_needed);

/* Adds a folder in which cuDNN and cuBLAS are looked for, such as nvidia/cudnn/lib of a Python environment. It counts before they are
 * loaded. */
DSL_CHECKED int32_t dsl_cuda_add_library_dir(const char *folder);

/* Handles that are alive, of all kinds. 0 after a program has freed what it made. */
DSL_API int64_t dsl_live_handles(void);

/* Sets up an options struct: DSL_INIT(&options). */
#define DSL_INIT(pointer) dsl_struct_init((pointer), sizeof(*(pointer)))

/* Zeroes size_bytes at a struct and writes struct_size. */
DSL_API void dsl_struct_init(void *out_struct, size_t size_bytes);

/* ---- cancelling ------------------------------------------------------------------------------------------------ */

/* A token stops the long calls that it was given to, within 100 ms or so; they return DSL_STATUS_CANCELLED. It stays
 * cancelled. NULL stands for "never". 4096 tokens can be alive at once. */
typedef struct dsl_cancel_token dsl_cancel_token;

DSL_CHECKED int32_t dsl_cancel_token_create(dsl_cancel_token **out_token);
DSL_API void dsl_cancel_token_cancel(dsl_cancel_token *token);
DSL_API void dsl_cancel_token_free(dsl_cancel_token *token);

/* ---- images ---------------------------------------------------------------------------------------------------- */

typedef struct dsl_image dsl_image;

#define DSL_DTYPE_U8 0
#define DSL_DTYPE_U16 1
#define DSL_DTYPE_F32 2

/* A picture in the caller's memory: height rows of width pixels of 1 (gray) or 3 (R, G, B) interleaved channels. */
typedef struct dsl_array {
    uint32_t struct_size;
    int32_t dtype;            /* DSL_DTYPE_... */
    const void *data;         /* first row first */
    size_t data_size_bytes;   /* what may be read from data on */
    int64_t row_stride_bytes; /* from one row to the next; 0 means rows without gaps */
    int32_t height;
    int32_t width;
    int32_t channels;  /* 1 or 3 */
    float window_low;  /* this value becomes black and */
    float window_high; /* this one white; both 0 mean 0..255 for U8, 0..65535 for U16, 0..1 for F32 */
    int32_t reserved;  /* 0 */
} dsl_array;

/* Reads a JPEG or PNG file, told apart by content. EXIF orientation is applied. Errors: NOT_FOUND, IO, CORRUPT, UNSUPPORTED
 * for other formats, INVALID above 100 megapixels. */
DSL_CHECKED int32_t dsl_image_load_file(const char *path, dsl_image **out_image);

/* Copies an array. Errors: INVALID for a shape, stride or window without sense, and for NaN. */
DSL_CHECKED int32_t dsl_image_from_array(const dsl_array *array, dsl_image **out_image);

/* The size of the original: a file's own pixel grid, before EXIF orientation. Heatmaps have this geometry. */
DSL_CHECKED int32_t dsl_image_size(const dsl_image *image, int32_t *out_height, int32_t *out_width);

/* The pixels [height, width, 3] of dsl_image_size, R G B: what lies under a heatmap. capacity >= height * width * 3. */
DSL_CHECKED int32_t dsl_image_pixels(const dsl_image *image, uint8_t *out_pixels, size_t capacity);

DSL_API void dsl_image_free(dsl_image *image);

/* ---- datasets -------------------------------------------------------------------------------------------------- */

/* Labelled images: a list of files, or images in memory. */
typedef struct dsl_dataset dsl_dataset;

/* Opens a manifest (a CSV file with the columns path,label[,class_name][,mask][,split][,group], paths relative to it), a folder that
 * holds ISIC 2019, HAM10000, MURA or HyperKvasir as they are published, or a folder with one subfolder of images per class. Image files
 * are read when they are needed. Errors: NOT_FOUND, IO, INVALID; what a published data set lacks is named with where to get it. */
DSL_CHECKED int32_t dsl_dataset_open(const char *path, dsl_dataset **out_dataset);

/* Opens the lists of training and test images that the method's authors publish: a header line, then "image_id class_id path" per
 * line, class numbers from 1 (label 0), paths relative to folder. Images need not be there until they are used. */
DSL_CHECKED int32_t dsl_dataset_open_lists(const char *train_list, const char *test_list, const char *folder,
                                           dsl_dataset **out_dataset);

/* The dataset as a manifest, CSV text with the columns path,label,class_name,mask,split,group and a line per image; the path is empty for
 * images in memory. Sizes as in dsl_model_info. */
DSL_CHECKED int32_t dsl_dataset_manifest(const dsl_dataset *dataset, char *out_text, size_t capacity, size_t *out_needed);

/* An empty dataset, filled by dsl_dataset_add. */
DSL_CHECKED int32_t dsl_dataset_create(dsl_dataset **out_dataset);

/* Adds an image, which may be freed afterwards. label >= 0. split: "train", "val", "test", or NULL for "train". group (patient,
 * lesion, study): images of one group never part between training and validation; NULL for none. */
DSL_CHECKED int32_t dsl_dataset_add(dsl_dataset *dataset, const dsl_image *image, int64_t label, const char *split,
                                    const char *group);

/* Says where the finding of an image lies, index counting from 0 in the order of dsl_dataset_add: mask is nonzero there, covers the image in
 * any size, and may be freed afterwards. For datasets that were not opened from files. */
DSL_CHECKED int32_t dsl_dataset_set_mask(dsl_dataset *dataset, int64_t index, const dsl_image *mask);

/* Names the class of a label. */
DSL_CHECKED int32_t dsl_dataset_set_class_name(dsl_dataset *dataset, int64_t label, const char *name);

/* How many images a split has; NULL or "" for all of them. */
DSL_CHECKED int32_t dsl_dataset_size(const dsl_dataset *dataset, const char *split, int64_t *out_num_images);

DSL_API void dsl_dataset_free(dsl_dataset *dataset);

/* ---- models ---------------------------------------------------------------------------------------------------- */

typedef struct dsl_model dsl_model;

/* Reads and verifies a .dsl file. Errors: NOT_FOUND, IO, CORRUPT, UNSUPPORTED for a newer format. */
DSL_CHECKED int32_t dsl_model_load(const char *path, dsl_model **out_model);

/* Writes the model so that a crash leaves either the old file or the new one. Training state is not kept. */
DSL_CHECKED int32_t dsl_model_save(const dsl_model *model, const char *path);

/* D, the width of an embedding; K, the number of learners; the side in pixels of what the network looks at. */
DSL_CHECKED int32_t dsl_model_embedding_dim(const dsl_model *model, int32_t *out_embedding_dim);
DSL_CHECKED int32_t dsl_model_num_learners(const dsl_model *model, int32_t *out_num_learners);
DSL_CHECKED int32_t dsl_model_input_size(const dsl_model *model, int32_t *out_input_size);

/* The classes that the model names; a classification network scores each. */
DSL_CHECKED int32_t dsl_model_num_classes(const dsl_model *model, int32_t *out_num_classes);

/* What the model is, as JSON: architecture, classes, learners, preprocessing, card. *out_needed (may be NULL) gets the length with
 * the final NUL; text may be NULL when capacity is 0. */
DSL_CHECKED int32_t dsl_model_info(const dsl_model *model, char *out_text, size_t capacity, size_t *out_needed);

typedef struct dsl_calibrate_options {
    uint32_t struct_size;
    int32_t num_images; /* so many of the split's images, drawn at random but always the same, or all if it has fewer; default 256 */
    const char *split;  /* of the dataset; default "train" */
    const char *device; /* as in dsl_session_options */
    int32_t threads;    /* as in dsl_session_options */
    int32_t reserved;   /* 0 */
} dsl_calibrate_options;

/* A copy of the model that can also compute with the precision "int8": it knows the ranges of the network's feature maps, which are measured on
 * images of the dataset, as they are embedded. Labels do not count. The ranges are saved with the model; its embeddings in other precisions stay as
 * they are, and to an index it is the same model. options may be NULL. Errors: NOT_FOUND for a split without images. */
DSL_CHECKED int32_t dsl_model_calibrate(const dsl_model *model, const dsl_dataset *dataset,
                                        const dsl_calibrate_options *options, const dsl_cancel_token *cancel,
                                        dsl_model **out_model);

DSL_API void dsl_model_free(dsl_model *model);

/* ---- results --------------------------------------------------------------------------------------------------- */

/* What a training or an evaluation found. */
typedef struct dsl_report dsl_report;

/* The report as JSON; sizes as in dsl_model_info. */
DSL_CHECKED int32_t dsl_report_json(const dsl_report *report, char *out_text, size_t capacity, size_t *out_needed);

DSL_API void dsl_report_free(dsl_report *report);

/* ---- sessions -------------------------------------------------------------------------------------------------- */

/* Runs a model on a device. Sessions on one model share its weights and do not wait for each other. */
typedef struct dsl_session dsl_session;

typedef struct dsl_session_options {
    uint32_t struct_size;
    int32_t threads;         /* CPU threads; 0: as dsl_set_num_threads says */
    const char *device;      /* "auto" (default: the first GPU that can be used, else the CPU), "cpu", "cuda", "cuda:1" */
    int32_t batch_invariant; /* 1: an embedding does not depend in one bit on the images beside it; 0: to about 1e-5 */
    int32_t reserved;        /* 0 */
    const char *precision;   /* "auto" (default: float32 on a CPU, bfloat16 on a GPU of compute capability 8.0), "f32", "tf32", "bf16"; "int8" on a CPU:
                              * about three times as fast as float32 where the CPU has VNNI, for a model from dsl_model_calibrate */
} dsl_session_options;

/* options may be NULL. Errors: DEVICE or UNSUPPORTED when the device is not there, with the reason; INVALID for "int8" and a model that was not
 * calibrated. */
DSL_CHECKED int32_t dsl_session_create(const dsl_model *model, const dsl_session_options *options,
                                       dsl_session **out_session);

/* Embeds images: row i of out_embeddings [num_images, D] is the embedding of image i, of unit length; its learners' parts are
 * unit vectors divided by sqrt(K). capacity >= num_images * D floats. */
DSL_CHECKED int32_t dsl_session_embed(dsl_session *session, const dsl_image *const *images, size_t num_images,
                                      const dsl_cancel_token *cancel, float *out_embeddings, size_t capacity);

/* The same for image files, which are decoded on several threads, a few at a time. */
DSL_CHECKED int32_t dsl_session_embed_files(dsl_session *session, const char *const *paths, size_t num_paths,
                                            const dsl_cancel_token *cancel, float *out_embeddings, size_t capacity);

/* The size of the attention map's own grid for an image: the whole image, its shorter side at the model's input size. */
DSL_CHECKED int32_t dsl_session_grid_size(dsl_session *session, const dsl_image *image, int32_t *out_height,
                                          int32_t *out_width);

/* Where the network looks: attention in [0, 1]. out_grid [grid height, grid width] gets the raw grid; out_heatmap [height, width]
 * of dsl_image_size gets it spread bilinearly over the original's pixels. Either may be NULL with capacity 0. Errors: UNSUPPORTED for
 * a model without attention. */
DSL_CHECKED int32_t dsl_session_heatmap(dsl_session *session, const dsl_image *image, const dsl_cancel_token *cancel,
                                        float *out_grid, size_t grid_capacity, float *out_heatmap,
                                        size_t heatmap_capacity);

/* Why two images are similar. With e = W * mean(F') + b linear in the feature map F', the cosine of two embeddings is exactly
 *     sum over positions p of <W F'_a(p), e_b> / (H' W' |e_a| |e_b|)  +  <b, e_b> / (|e_a| |e_b|)
 * that is sum(map of a) + bias_a, and likewise sum(map of b) + bias_b. The maps are signed. Both images enter whole, not cropped
 * as for dsl_session_embed. The sums hold for the grids to float32 rounding, and for the maps in the originals' pixels as well. */
typedef struct dsl_explanation {
    uint32_t struct_size;
    int32_t learner; /* in: 0..K-1 restricts the sums to this learner's subspace; DSL_LEARNER_ALL for the whole */
    float *grid_a;   /* in: NULL, or room for the grid of a (dsl_session_grid_size) */
    float *grid_b;
    float *map_a; /* in: NULL, or room for [height, width] of a (dsl_image_size) */
    float *map_b;
    size_t grid_a_capacity;
    size_t grid_b_capacity;
    size_t map_a_capacity;
    size_t map_b_capacity;
    double similarity; /* out: the cosine similarity, in [-1, 1] */
    double bias_a;     /* out */
    double bias_b;     /* out */
} dsl_explanation;

#define DSL_LEARNER_ALL (-1)

DSL_CHECKED int32_t dsl_session_explain_pair(dsl_session *session, const dsl_image *a, const dsl_image *b,
                                             const dsl_cancel_token *cancel, dsl_explanation *explanation);

/* Scores the model on a split ("test", ...; NULL or "" for all images): clustering (NMI, AMI) and retrieval (recall at 1, 2, 4, 8)
 * over queries (micro) and over classes (macro), and with the query's whole group excluded where the dataset has groups. */
DSL_CHECKED int32_t dsl_session_evaluate(dsl_session *session, const dsl_dataset *dataset, const char *split,
                                         const dsl_cancel_token *cancel, dsl_report **out_report);

/* ---- classification networks and maps against masks ---- */

/* Classifies images: row i of out_probabilities [num_images, number of classes] is the softmax of image i's class scores, column = label.
 * capacity >= num_images * dsl_model_num_classes floats. Errors: UNSUPPORTED for a model that is no classification network. */
DSL_CHECKED int32_t dsl_session_classify(dsl_session *session, const dsl_image *const *images, size_t num_images,
                                         const dsl_cancel_token *cancel, float *out_probabilities, size_t capacity);

#define DSL_LABEL_PREDICTED (-1)

/* Where a classification network sees a class (Grad-CAM, Selvaraju et al. 2017). As the scores W * mean(F') + b are linear in the feature map
 * F', that is max(0, sum over channels c of W[label, c] F'_c(p)), here divided by its largest value: in [0, 1], all 0 where nothing speaks
 * for the class. The image enters whole. label: a class, or DSL_LABEL_PREDICTED for that of the highest score of the whole image. out_label
 * (may be NULL) gets the class. out_grid and out_map: as in dsl_session_heatmap. Errors: UNSUPPORTED as in dsl_session_classify; INVALID
 * for a label that the model does not know. */
DSL_CHECKED int32_t dsl_session_class_map(dsl_session *session, const dsl_image *image, int64_t label,
                                          const dsl_cancel_token *cancel, float *out_grid, size_t grid_capacity,
                                          float *out_map, size_t map_capacity, int64_t *out_label);

/* Where an image has what its own embedding is made of: the map of dsl_session_explain_pair for an image and itself, its positive part
 * divided by its largest value, in [0, 1]. out_grid and out_map: as in dsl_session_heatmap. */
DSL_CHECKED int32_t dsl_session_self_map(dsl_session *session, const dsl_image *image, const dsl_cancel_token *cancel,
                                         float *out_grid, size_t grid_capacity, float *out_map, size_t map_capacity);

/* Where an image has strong features: (|F(p)| - least) / (greatest - least), |.| the Euclidean norm over the channels of the feature map F
 * before the attention, in [0, 1]; all 0 where all places are equal. out_grid and out_map: as in dsl_session_heatmap. */
DSL_CHECKED int32_t dsl_session_activation_map(dsl_session *session, const dsl_image *image, const dsl_cancel_token *cancel,
                                               float *out_grid, size_t grid_capacity, float *out_map, size_t map_capacity);

/* Scores maps against the masks of a split ("test", ...; NULL or "" for all images): Dice and IoU of the regions that a threshold makes of
 * them (0.5; Otsu's of each image; the best of the validation images), the pointing game, and the same for two regions without any map: all
 * pixels, and a centred disc. Threshold, side (values above or below it are foreground) and radius are chosen on the split "val" and
 * nothing else. source: "attention" (dsl_session_heatmap), "grad_cam" (dsl_session_class_map of the predicted class), "self"
 * (dsl_session_self_map), "activation" (dsl_session_activation_map); NULL or "" for "grad_cam" of a classification network and "attention" of others.
 *
 * A mask is nonzero inside, covers its picture in any size, and lies in the file's own pixel grid, as heatmaps do. Images without a mask are
 * left out and counted. An empty mask and an empty region have Dice and IoU 1; empty masks are not in the pointing game. The report
 * holds means and the numbers of each image. Errors: NOT_FOUND when the split or "val" has no masks; UNSUPPORTED for a source that the
 * model does not have. */
DSL_CHECKED int32_t dsl_session_evaluate_masks(dsl_session *session, const dsl_dataset *dataset, const char *source,
                                               const char *split, const dsl_cancel_token *cancel,
                                               dsl_report **out_report);

DSL_API void dsl_session_free(dsl_session *session);

/* ---- indexes --------------------------------------------------------------------------------------------------- */

/* A gallery of embeddings with an id each: exact nearest neighbours by cosine similarity. Searches may run at a time. */
typedef struct dsl_index dsl_index;

/* Room for an id or a group with its NUL, in chars. */
#define DSL_INDEX_TEXT_SIZE 1024

/* An empty index of the embeddings of a model; embedding_dim is then 0 or the model's. With model NULL, of rows of embedding_dim
 * numbers from anywhere, without learners. */
DSL_CHECKED int32_t dsl_index_create(const dsl_model *model, int32_t embedding_dim, dsl_index **out_index);

/* Adds num_rows embeddings [num_rows, D], brought to unit length. Each of the arrays after it has num_rows elements or is NULL. ids are texts
 * of up to 1023 bytes, or int_ids numbers; one kind in an index. Without either, rows are numbered. They are kept, and saved, as they are given, and may
 * come more than once. labels: 0 or more, -1 for none. groups (patient, lesion, study): NULL or "" for none. Errors: INVALID, then
 * nothing is added. */
DSL_CHECKED int32_t dsl_index_add(dsl_index *index, const float *embeddings, size_t num_rows, const char *const *ids,
                                  const int64_t *int_ids, const int64_t *labels, const char *const *groups);

typedef struct dsl_search_options {
    uint32_t struct_size;
    int32_t threads;                   /* CPU threads; 0: as dsl_set_num_threads says */
    const int32_t *learner;            /* NULL: whole embeddings; 0..K-1: this learner's part alone, of unit length */
    const char *const *exclude_ids;    /* NULL, or the id of each query: rows with it are left out */
    const int64_t *exclude_int_ids;    /* the same where ids are numbers */
    const char *const *exclude_groups; /* NULL, or the group of each query: rows of it are left out, but for NULL and "" */
    const char *device; /* as in dsl_session_options; a GPU finds the candidates of big searches, with the same results */
} dsl_search_options;

/* The k rows most similar to each of queries [num_queries, D], the most similar first, as if all were sorted; of equally similar ones that
 * which was added first. out_rows and out_similarities [num_queries, k] get row numbers, counted from 0 in the order of adding, and cosines;
 * -1 and -INFINITY where fewer rows are left. capacity >= num_queries * k elements in each. options may be NULL. */
DSL_CHECKED int32_t dsl_index_search(const dsl_index *index, const float *queries, size_t num_queries, int32_t k,
                                     const dsl_search_options *options, const dsl_cancel_token *cancel,
                                     int64_t *out_rows, float *out_similarities, size_t capacity);

/* INVALID unless the index holds embeddings of this very model: of the same weights, learners and preprocessing. */
DSL_CHECKED int32_t dsl_index_check_model(const dsl_index *index, const dsl_model *model);

DSL_CHECKED int32_t dsl_index_size(const dsl_index *index, int64_t *out_num_rows);

/* What is known of a row: its id (numbers in decimal digits), group ("" for none) and label (-1 for none). Each may be NULL, with capacity 0;
 * DSL_INDEX_TEXT_SIZE is always enough. Errors: NOT_FOUND for a row that is not there. */
DSL_CHECKED int32_t dsl_index_item(const dsl_index *index, int64_t row, char *out_id, size_t id_capacity, char *out_group,
                                   size_t group_capacity, int64_t *out_label);

/* What the index is, as JSON: size, embedding_dim, num_learners, the model's identity, the kind of ids. Sizes as in dsl_model_info. */
DSL_CHECKED int32_t dsl_index_info(const dsl_index *index, char *out_text, size_t capacity, size_t *out_needed);

/* Writes the index to a .dsl file so that a crash leaves either the old file or the new one. */
DSL_CHECKED int32_t dsl_index_save(const dsl_index *index, const char *path);

/* Reads and verifies an index file. model: NULL, or the one whose embeddings it must hold. Errors: NOT_FOUND, IO, CORRUPT, UNSUPPORTED for
 * a newer format; INVALID for a model's file, and for another model's embeddings. */
DSL_CHECKED int32_t dsl_index_load(const char *path, const dsl_model *model, dsl_index **out_index);

DSL_API void dsl_index_free(dsl_index *index);

/* ---- clusters -------------------------------------------------------------------------------------------------- */

typedef struct dsl_cluster_options {
    uint32_t struct_size;
    int32_t threads;
    int32_t restarts;       /* seeded starts, of which the best counts; default 5 */
    int32_t max_iterations; /* of a restart; default 100 */
    uint64_t seed;
    const char *device; /* as in dsl_session_options; a GPU assigns big arrays in float32, a CPU in float64 */
} dsl_cluster_options;

/* Groups rows [num_rows, embedding_dim] into k clusters by K-means from greedy k-means++ seeds. out_assignment [num_rows] gets 0..k-1;
 * out_centres [k, embedding_dim] and out_inertia (the sum of squared distances to the centres) may be NULL. Equal rows, options and seeds give
 * equal clusters on one device, whatever the threads. options may be NULL. Errors: INVALID, also for k outside 1..num_rows. */
DSL_CHECKED int32_t dsl_cluster(const float *embeddings, size_t num_rows, int32_t embedding_dim, int32_t k,
                                const dsl_cluster_options *options, const dsl_cancel_token *cancel,
                                int32_t *out_assignment, size_t capacity, float *out_centres, size_t centres_capacity,
                                double *out_inertia);

/* ---- training -------------------------------------------------------------------------------------------------- */

#define DSL_STAGE_PREPARE 0  /* checking the images, building the network */
#define DSL_STAGE_WARMUP 1   /* training before the learners */
#define DSL_STAGE_LEARN 2    /* training the learners */
#define DSL_STAGE_FINETUNE 3 /* training the whole embedding */
#define DSL_STAGE_DONE 4

#define DSL_EVENT_STEP 0 /* an optimiser step is done */
#define DSL_EVENT_VALIDATED 1
#define DSL_EVENT_GREW 2 /* a learner was added */
#define DSL_EVENT_NOTE 3 /* message holds something to know, such as a skipped image */

/* What a progress callback sees; it and message are valid during the call only. Check struct_size before members that a later header
 * adds. */
typedef struct dsl_progress {
    uint32_t struct_size;
    int32_t stage; /* DSL_STAGE_... */
    int32_t event; /* DSL_EVENT_... */
    int32_t epoch; /* 0 before the first */
    int32_t num_learners;
    int32_t learner; /* whose step it was */
    int32_t best;    /* VALIDATED: 1 for the best score so far */
    int32_t reserved;
    int64_t step;      /* optimiser steps done; in DSL_STAGE_PREPARE images checked */
    int64_t num_steps; /* in all; 0 while unknown */
    double learning_rate;
    double loss;              /* of the last step; NaN when there is none */
    double nmi;               /* of the last validation, in [0, 1]; NaN when there is none */
    double recall_at_1;       /* the same, over queries */
    double macro_recall_at_1; /* the same, over classes */
    double elapsed_s;
    const char *message; /* NULL, or text for a person */
} dsl_progress;

/* Anything but 0 cancels. */
typedef int32_t (*dsl_progress_fn)(const dsl_progress *progress, void *user);

typedef struct dsl_train_options {
    uint32_t struct_size;
    int32_t learners;      /* 0: dynamic, grow as needed; K >= 1: so many from the start */
    const char *out_path;  /* required: gets the best model; the last one goes beside it, NAME.last.dsl for NAME.dsl */
    const char *log_path;  /* NULL, or a file that gets JSON lines: validations, growths, notes, each tenth step */
    const char *init_path; /* NULL, or a file with the weights to start from; "paper" needs one. A model gives backbone and
                            * attention, whatever its head. A .safetensors file with the state dict of torchvision's or
                            * timm's ResNet-18, -34 or -50 gives the backbone. The content tells which of the two it is.
                            * BatchNorm is frozen then, and there is no warm-up unless warmup_share asks for one */
    const char *backbone;  /* "resnet18" (default, or that of init_path), "resnet34", "resnet50" */
    const char *stem;      /* "standard" (default: stride 16 in all), "small" (stride 8) */
    const char *attention; /* "gate" (default), "none" */
    const char *profile;   /* "scratch" (default), "paper" */
    const char *device;    /* as in dsl_session_options */
    int32_t embedding_dim; /* default 128 */
    int32_t input_size;    /* pixels, default 224 */
    int32_t epochs;        /* default: the profile's */
    int32_t batch_size;    /* default: the profile's */
    int32_t images_per_class; /* in a batch; default: the profile's */
    int32_t threads;
    int32_t skip_unreadable; /* 1: leave unreadable images out and report them; 0: stop before training */
    int32_t nondeterministic; /* 1: on a GPU also kernels that add up in another order each time, where they are faster: two runs
                               * differ by rounding; 0: the same bits in every run */
    int64_t steps;           /* > 0: so many optimiser steps instead of epochs */
    uint64_t seed;
    double learning_rate;     /* default: the profile's */
    double validation_share;  /* of the training images, when the dataset has no "val" split; default 0.15 */
    dsl_progress_fn progress; /* NULL, or called on the thread that called dsl_train */
    void *progress_user;
    const char *precision; /* as in dsl_session_options; weights, their gradients and the optimiser are float32 in all */
    const double *warmup_share;   /* NULL: the profile's; the share of the steps that train a classification network first, 0 for none */
    const double *finetune_share; /* NULL: the profile's; the share of the steps after it that train the whole embedding last, 0 for none */
    const char *loss;          /* "margin" (default), another metric loss, or "classification"; the README lists them */
    const char *mining;        /* of the margin loss: "nearest" (default), "distance-weighted" */
    const char *beta;          /* of the margin loss: "fixed" (default: 1.2), "learnt", "per-class" (learnt, one for each class) */
    const char *cluster_space; /* the vectors whose clusters share out the images: "embedding" (default), "penultimate" */
    int32_t recluster_every;   /* epochs from one clustering to the next; default: the profile's */
    int32_t patience;          /* validations without a better NMI before a learner is added; default: the profile's */
    double embedding_rate;     /* of the embedding layer while learners train; default: learning_rate, times 10 for "scratch" */
    double checkpoint_every_s; /* seconds from one checkpoint to the next within an epoch; 0: 300; below 0: no checkpoints */
    int32_t resume;            /* 1: go on from the checkpoint beside out_path if there is one; 0: start anew and remove it */
    int32_t exact_convolutions; /* 1: on the CPU no Winograd convolutions, which are faster and round 2 to 8 times as much as direct ones */
} dsl_train_options;

/* Trains on the dataset's "train" images, validates on "val", never looks at "test". Cancelling leaves the last model, complete as of
 * the last whole step, if training had begun, and returns CANCELLED. out_report (may be NULL) gets scores, growths and
 * times: "elapsed_s", and of it "waited_s", that steps waited for images to be read. The log's lines have both too.
 *
 * A checkpoint, NAME.checkpoint.dsl for NAME.dsl, is written at validations, within long epochs and when the training is cancelled, so
 * that a crash leaves either the old one or the new one. With resume = 1 a training that was stopped, in whatever way, goes on from it:
 * its models, log and scores are bit for bit those of one never stopped, on the same device with the same threads and libraries. Where
 * they may differ, notes and the report's "resume_differences" say why. The log is cut to where the checkpoint was made. A finished
 * training returns the same again. INVALID, naming the option or the data, when they are not those of the checkpoint; CORRUPT when it
 * cannot be used. The data count by names, labels, splits, groups and file sizes, not by pixels. */
DSL_CHECKED int32_t dsl_train(const dsl_dataset *dataset, const dsl_train_options *options,
                              const dsl_cancel_token *cancel, dsl_report **out_report);

#ifdef __cplusplus
}
#endif

#endif /* DSL_H */
