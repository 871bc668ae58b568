/* Trains a tiny model from arrays, then uses it every way: progress, cancel, embed, heatmap, explain, evaluate, save. */
#define _XOPEN_SOURCE 700
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { side = 32, num_images = 24, dim = 16, max_pixels = side * side };

static dsl_image *images[num_images];

/* Two classes: bright discs on the left and on the right, with noise. */
static dsl_image *draw(int index) {
    static uint8_t pixels[max_pixels * 3];
    unsigned noise = (unsigned)index * 2654435761u + 1;
    int cx = index % 2 == 0 ? side / 4 : 3 * side / 4, cy = side / 2 + index % 5 - 2;
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            int inside = (x - cx) * (x - cx) + (y - cy) * (y - cy) < side * side / 16;
            for (int c = 0; c < 3; c++) {
                noise = noise * 1664525u + 1013904223u;
                pixels[(y * side + x) * 3 + c] = (uint8_t)((inside ? 180 : 40) + (noise >> 27));
            }
        }
    }
    dsl_array a;
    dsl_image *image = NULL;
    DSL_INIT(&a);
    a.data = pixels;
    a.data_size_bytes = sizeof pixels;
    a.height = a.width = side;
    a.channels = 3;
    CHECK_OK(dsl_image_from_array(&a, &image));
    return image;
}

static dsl_dataset *make_dataset(void) {
    static const char *const splits[] = {"train", "train", "train", "val", "test"};
    dsl_dataset *dataset = NULL;
    CHECK_OK(dsl_dataset_create(&dataset));
    for (int i = 0; i < num_images; i++) {
        char group[16];
        images[i] = draw(i);
        snprintf(group, sizeof group, "patient %d", i / 2);
        CHECK_OK(dsl_dataset_add(dataset, images[i], i % 2, splits[i / 2 % 5], group));
    }
    CHECK_OK(dsl_dataset_set_class_name(dataset, 0, "left"));
    CHECK_OK(dsl_dataset_set_class_name(dataset, 1, "right"));
    return dataset;
}

static dsl_train_options tiny(const char *out_path) {
    dsl_train_options o;
    DSL_INIT(&o);
    o.out_path = out_path;
    o.stem = "small";
    o.embedding_dim = dim;
    o.input_size = 32;
    o.learners = 2;
    o.steps = 4;
    o.batch_size = 8;
    o.images_per_class = 4;
    o.threads = 1;
    o.checkpoint_every_s = -1; /* which take longer than such a training */
    return o;
}

struct seen {
    pthread_t thread;
    int steps, others, wrong_thread, stop_after;
    dsl_cancel_token *token;
};

static int32_t on_progress(const dsl_progress *p, void *user) {
    struct seen *s = user;
    s->wrong_thread += !pthread_equal(s->thread, pthread_self());
    if (p->struct_size < sizeof *p) {
        s->wrong_thread++;
    }
    if (p->event == DSL_EVENT_STEP && p->stage != DSL_STAGE_PREPARE) {
        s->steps++;
        if (s->stop_after > 0 && s->steps >= s->stop_after) {
            if (s->token == NULL) {
                return 1;
            }
            raise(SIGUSR1);
        }
    } else {
        s->others++;
    }
    return 0;
}

static dsl_cancel_token *signal_token;

static void on_signal(int number) {
    (void)number;
    dsl_cancel_token_cancel(signal_token);
}

static void training(const dsl_dataset *dataset) {
    struct seen seen = {pthread_self(), 0, 0, 0, 0, NULL};
    dsl_report *report = NULL;
    dsl_train_options o = tiny("serve.dsl");
    char json[4096];
    size_t needed = 0;
    o.log_path = "serve.log";
    o.progress = on_progress;
    o.progress_user = &seen;
    CHECK_OK(dsl_train(dataset, &o, NULL, &report));
    CHECK(seen.steps == 4 && seen.others > 0 && seen.wrong_thread == 0);
    CHECK_OK(dsl_report_json(report, json, sizeof json, &needed));
    CHECK(needed == strlen(json) + 1 && strstr(json, "\"steps\": 4") != NULL);
    dsl_report_free(report);
    CHECK(access("serve.dsl", R_OK) == 0 && access("serve.last.dsl", R_OK) == 0 && access("serve.log", R_OK) == 0);
}

/* A model starts another training, also one whose profile needs weights; a file that holds none does not. */
static void start_from_weights(const dsl_dataset *dataset) {
    static const char no_tensors[] = "\x02\0\0\0\0\0\0\0{}"; /* as a .safetensors file */
    dsl_train_options o = tiny("start.dsl");
    FILE *f = fopen("none.safetensors", "wb");
    CHECK(f != NULL && fwrite(no_tensors, sizeof no_tensors - 1, 1, f) == 1 && fclose(f) == 0);
    o.profile = "paper";
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "trained network");
    o.init_path = "serve.dsl";
    CHECK_OK(dsl_train(dataset, &o, NULL, NULL));
    o.init_path = "none.safetensors";
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "got 0 tensors");
    o.init_path = "serve.log";
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_CORRUPT, "neither a .dsl nor a .safetensors file");
    o.init_path = "absent.safetensors";
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_NOT_FOUND, "absent.safetensors");
}

/* Each choice of the method reaches the training: it works, or is refused by name. */
static void choices(const dsl_dataset *dataset) {
    dsl_train_options o = tiny("choices.dsl");
    o.loss = "proxy-anchor";
    o.cluster_space = "penultimate";
    o.recluster_every = 2;
    o.patience = 3;
    o.embedding_rate = 1e-2;
    CHECK_OK(dsl_train(dataset, &o, NULL, NULL));
    o.mining = "nearest";
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "belong to the margin loss");
    o.loss = "margin";
    o.mining = "distance-weighted";
    o.beta = "per-class";
    CHECK_OK(dsl_train(dataset, &o, NULL, NULL));
    o.beta = "wild";
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "beta");
    o.beta = NULL;
    o.cluster_space = "pixels";
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "cluster_space");
    o.cluster_space = NULL;
    o.embedding_rate = -1;
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "embedding_rate");
}

static int32_t count_stages(const dsl_progress *p, void *user) {
    int *steps = user;
    steps[p->stage] += p->event == DSL_EVENT_STEP;
    return 0;
}

/* NULL is the profile's share, a 0 is none. */
static void shares(const dsl_dataset *dataset) {
    const double none = 0, half = 0.5, nonsense = 1.5;
    dsl_train_options o = tiny("shares.dsl");
    o.learners = 1;
    o.progress = count_stages;
    int own[5] = {0}, zero[5] = {0}, given[5] = {0};
    o.progress_user = own;
    CHECK_OK(dsl_train(dataset, &o, NULL, NULL));
    CHECK(own[DSL_STAGE_WARMUP] == 2 && own[DSL_STAGE_LEARN] == 2 && own[DSL_STAGE_FINETUNE] == 0);
    o.warmup_share = o.finetune_share = &none;
    o.progress_user = zero;
    CHECK_OK(dsl_train(dataset, &o, NULL, NULL));
    CHECK(zero[DSL_STAGE_WARMUP] == 0 && zero[DSL_STAGE_LEARN] == 4 && zero[DSL_STAGE_FINETUNE] == 0);
    o.finetune_share = &half;
    o.progress_user = given;
    CHECK_OK(dsl_train(dataset, &o, NULL, NULL));
    CHECK(given[DSL_STAGE_WARMUP] == 0 && given[DSL_STAGE_LEARN] == 2 && given[DSL_STAGE_FINETUNE] == 2);
    o.warmup_share = &nonsense;
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "warmup_share");
}

/* Stopped after two steps, and gone on from there, the models are those of a training that was never stopped. */
static void resuming(const dsl_dataset *dataset) {
    struct seen seen = {pthread_self(), 0, 0, 0, 2, NULL}, rest = {pthread_self(), 0, 0, 0, 0, NULL};
    dsl_train_options o = tiny("resumed.dsl");
    dsl_report *report = NULL;
    char json[4096];
    size_t needed = 0;
    o.checkpoint_every_s = 0;
    o.progress = on_progress;
    o.progress_user = &seen;
    remove("resumed.checkpoint.dsl");
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_CANCELLED, "");
    CHECK(access("resumed.checkpoint.dsl", R_OK) == 0);
    o.resume = 1;
    o.seed = 77;
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "option \"seed\": got 77");
    o.seed = tiny("").seed;
    o.progress_user = &rest;
    CHECK_OK(dsl_train(dataset, &o, NULL, &report));
    CHECK(rest.steps == 2);
    CHECK_OK(dsl_report_json(report, json, sizeof json, &needed));
    CHECK(strstr(json, "\"resumed_step\": 2") != NULL && strstr(json, "\"resume_differences\": []") != NULL);
    dsl_report_free(report);
    o.nondeterministic = 1;
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_INVALID, "option \"nondeterministic\": got true");
}

static void cancelling(const dsl_dataset *dataset) {
    struct seen seen = {pthread_self(), 0, 0, 0, 2, NULL};
    dsl_train_options o = tiny("cancelled.dsl");
    dsl_model *model = NULL;
    o.steps = 1000000;
    o.progress = on_progress;
    o.progress_user = &seen;
    remove("cancelled.last.dsl");
    CHECK_STATUS(dsl_train(dataset, &o, NULL, NULL), DSL_STATUS_CANCELLED, "");
    CHECK(seen.steps == 2);
    CHECK_OK(dsl_model_load("cancelled.last.dsl", &model)); /* what was trained so far is complete */
    dsl_model_free(model);

    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR1, &action, NULL);
    CHECK_OK(dsl_cancel_token_create(&signal_token));
    seen = (struct seen){pthread_self(), 0, 0, 0, 1, signal_token};
    CHECK_STATUS(dsl_train(dataset, &o, signal_token, NULL), DSL_STATUS_CANCELLED, "");
    CHECK_STATUS(dsl_train(dataset, &o, signal_token, NULL), DSL_STATUS_CANCELLED, ""); /* stays cancelled */
    dsl_cancel_token_free(signal_token);
}

static void embedding(dsl_session *session) {
    float all[num_images * dim], one[dim];
    CHECK_OK(dsl_session_embed(session, (const dsl_image *const *)images, num_images, NULL, all, num_images * dim));
    for (int i = 0; i < num_images; i++) {
        double norm = 0;
        for (int d = 0; d < dim; d++) {
            norm += (double)all[i * dim + d] * (double)all[i * dim + d];
        }
        CHECK(fabs(norm - 1) < 1e-5);
    }
    CHECK_OK(dsl_session_embed(session, (const dsl_image *const *)&images[5], 1, NULL, one, dim));
    for (int d = 0; d < dim; d++) {
        CHECK(fabsf(one[d] - all[5 * dim + d]) < 1e-5f);
    }
    CHECK_OK(dsl_session_embed(session, NULL, 0, NULL, NULL, 0));
    CHECK_STATUS(dsl_session_embed(session, (const dsl_image *const *)images, 2, NULL, all, 2 * dim - 1), DSL_STATUS_BUFFER_TOO_SMALL,
                 "[2, 16]");
    const dsl_image *holes[2] = {images[0], NULL};
    CHECK_STATUS(dsl_session_embed(session, holes, 2, NULL, all, 2 * dim), DSL_STATUS_INVALID, "row 1");
    const char *paths[2] = {"serve.log", "no-such.png"};
    CHECK_STATUS(dsl_session_embed_files(session, paths, 2, NULL, all, 2 * dim), DSL_STATUS_UNSUPPORTED, "serve.log");
    CHECK_STATUS(dsl_session_embed_files(session, paths + 1, 1, NULL, all, dim), DSL_STATUS_NOT_FOUND, "row 0");
    dsl_cancel_token *token = NULL;
    CHECK_OK(dsl_cancel_token_create(&token));
    dsl_cancel_token_cancel(token);
    CHECK_STATUS(dsl_session_embed(session, (const dsl_image *const *)images, 2, token, all, 2 * dim), DSL_STATUS_CANCELLED, "");
    dsl_cancel_token_free(token);
}

static double sum(const float *values, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) {
        s += (double)values[i];
    }
    return s;
}

static void explaining(dsl_session *session) {
    static float grid[max_pixels], grid_b[max_pixels], map[max_pixels], map_b[max_pixels];
    int32_t gh = 0, gw = 0;
    CHECK_OK(dsl_session_grid_size(session, images[0], &gh, &gw));
    size_t cells = (size_t)gh * (size_t)gw;
    CHECK(cells >= 4 && cells <= max_pixels);
    CHECK_OK(dsl_session_heatmap(session, images[0], NULL, grid, cells, map, max_pixels));
    for (size_t i = 0; i < max_pixels; i++) {
        CHECK(map[i] >= 0 && map[i] <= 1);
    }
    CHECK_OK(dsl_session_heatmap(session, images[0], NULL, NULL, 0, NULL, 0));
    CHECK_STATUS(dsl_session_heatmap(session, images[0], NULL, NULL, 0, map, 5), DSL_STATUS_BUFFER_TOO_SMALL, "1024");
    for (int32_t learner = DSL_LEARNER_ALL; learner < 2; learner++) {
        dsl_explanation e;
        DSL_INIT(&e);
        e.learner = learner;
        e.grid_a = grid;
        e.grid_b = grid_b;
        e.map_a = map;
        e.map_b = map_b;
        e.grid_a_capacity = e.grid_b_capacity = cells;
        e.map_a_capacity = e.map_b_capacity = max_pixels;
        CHECK_OK(dsl_session_explain_pair(session, images[0], images[3], NULL, &e));
        CHECK(fabs(sum(grid, cells) + e.bias_a - e.similarity) < 1e-4);
        CHECK(fabs(sum(grid_b, cells) + e.bias_b - e.similarity) < 1e-4);
        CHECK(fabs(sum(map, max_pixels) + e.bias_a - e.similarity) < 1e-4);
        CHECK(fabs(sum(map_b, max_pixels) + e.bias_b - e.similarity) < 1e-4);
        CHECK_OK(dsl_session_explain_pair(session, images[0], images[0], NULL, &e));
        CHECK(fabs(e.similarity - 1) < 1e-5);
        e.learner = 2;
        CHECK_STATUS(dsl_session_explain_pair(session, images[0], images[3], NULL, &e), DSL_STATUS_INVALID, "learner");
    }
}

static void evaluating(dsl_session *session, const dsl_dataset *dataset) {
    dsl_report *report = NULL;
    char json[4096];
    CHECK_OK(dsl_session_evaluate(session, dataset, NULL, NULL, &report));
    CHECK_OK(dsl_report_json(report, json, sizeof json, NULL));
    CHECK(strstr(json, "\"nmi\"") != NULL && strstr(json, "\"group_excluded\": {") != NULL);
    dsl_report_free(report);
    CHECK_STATUS(dsl_session_evaluate(session, dataset, "tset", NULL, &report), DSL_STATUS_INVALID, "tset");
    dsl_dataset *empty = NULL;
    CHECK_OK(dsl_dataset_create(&empty));
    CHECK_OK(dsl_dataset_add(empty, images[0], 0, NULL, NULL));
    CHECK_STATUS(dsl_session_evaluate(session, empty, "test", NULL, &report), DSL_STATUS_NOT_FOUND, "test");
    CHECK_STATUS(dsl_session_evaluate(session, empty, "train", NULL, &report), DSL_STATUS_INVALID, "");
    dsl_dataset_free(empty);
}

/* A dataset whose masks are the discs of draw. */
static dsl_dataset *masked_dataset(void) {
    static const char *const splits[] = {"val", "test"};
    static uint8_t mask[max_pixels];
    dsl_dataset *dataset = NULL;
    CHECK_OK(dsl_dataset_create(&dataset));
    for (int i = 0; i < 4; i++) {
        dsl_array a;
        dsl_image *image = NULL;
        int cx = i % 2 == 0 ? side / 4 : 3 * side / 4;
        for (int p = 0; p < max_pixels; p++) {
            int dx = p % side - cx, dy = p / side - side / 2;
            mask[p] = dx * dx + dy * dy < side * side / 16;
        }
        DSL_INIT(&a);
        a.data = mask;
        a.data_size_bytes = sizeof mask;
        a.height = a.width = side;
        a.channels = 1;
        CHECK_OK(dsl_image_from_array(&a, &image));
        CHECK_OK(dsl_dataset_add(dataset, images[i], i % 2, splits[i / 2], NULL));
        CHECK_OK(dsl_dataset_set_mask(dataset, i, image));
        CHECK_STATUS(dsl_dataset_set_mask(dataset, i + 1, image), DSL_STATUS_INVALID, "mask of image");
        CHECK_STATUS(dsl_dataset_set_mask(dataset, -1, image), DSL_STATUS_INVALID, "mask of image");
        dsl_image_free(image);
    }
    return dataset;
}

static void check_mask_scores(dsl_session *session, const dsl_dataset *masked, const char *source, const char *wanted) {
    static char json[8192];
    dsl_report *report = NULL;
    CHECK_OK(dsl_session_evaluate_masks(session, masked, source, "test", NULL, &report));
    CHECK_OK(dsl_report_json(report, json, sizeof json, NULL));
    CHECK(strstr(json, wanted) != NULL && strstr(json, "\"num_images\": 2") != NULL && strstr(json, "\"pointing_hit\"") != NULL);
    dsl_report_free(report);
}

/* What every model has: maps against masks, the map of an image with itself. */
static void mapping(dsl_session *session, const dsl_dataset *dataset, const dsl_dataset *masked) {
    static float map[max_pixels], grid[max_pixels];
    float top = 0;
    int32_t gh = 0, gw = 0;
    dsl_report *report = NULL;
    CHECK_OK(dsl_session_grid_size(session, images[0], &gh, &gw));
    CHECK_OK(dsl_session_self_map(session, images[0], NULL, grid, (size_t)gh * (size_t)gw, map, max_pixels));
    for (int i = 0; i < gh * gw; i++) {
        top = grid[i] > top ? grid[i] : top;
    }
    CHECK(top == 1);
    CHECK_STATUS(dsl_session_self_map(session, images[0], NULL, NULL, 0, map, 5), DSL_STATUS_BUFFER_TOO_SMALL, "1024");
    CHECK_OK(dsl_session_activation_map(session, images[0], NULL, grid, (size_t)gh * (size_t)gw, NULL, 0));
    CHECK_STATUS(dsl_session_activation_map(session, images[0], NULL, NULL, 0, map, 5), DSL_STATUS_BUFFER_TOO_SMALL, "1024");
    check_mask_scores(session, masked, "self", "\"source\": \"self\"");
    check_mask_scores(session, masked, "activation", "\"source\": \"activation\"");
    check_mask_scores(session, masked, "attention", "\"source\": \"attention\"");
    CHECK_STATUS(dsl_session_evaluate_masks(session, masked, "saliency", NULL, NULL, &report), DSL_STATUS_INVALID, "saliency");
    CHECK_STATUS(dsl_session_evaluate_masks(session, masked, NULL, "tset", NULL, &report), DSL_STATUS_INVALID, "tset");
    CHECK_STATUS(dsl_session_evaluate_masks(session, masked, NULL, "train", NULL, &report), DSL_STATUS_NOT_FOUND, "");
    CHECK_STATUS(dsl_session_evaluate_masks(session, dataset, NULL, NULL, NULL, &report), DSL_STATUS_NOT_FOUND, "validation");
}

static void classifying(const dsl_dataset *dataset, const dsl_dataset *masked) {
    static float map[max_pixels];
    dsl_train_options o = tiny("classifier.dsl");
    dsl_model *model = NULL;
    dsl_session *session = NULL;
    float p[3 * 2];
    int32_t n = 0;
    int64_t label = -5;
    o.loss = "classification";
    o.learners = o.embedding_dim = 0;
    CHECK_OK(dsl_train(dataset, &o, NULL, NULL));
    CHECK_OK(dsl_model_load("classifier.dsl", &model));
    CHECK_OK(dsl_model_num_classes(model, &n));
    CHECK(n == 2);
    CHECK_OK(dsl_session_create(model, NULL, &session));
    CHECK_OK(dsl_session_classify(session, (const dsl_image *const *)images, 3, NULL, p, 6));
    for (int i = 0; i < 3; i++) {
        CHECK(p[2 * i] > 0 && fabsf(p[2 * i] + p[2 * i + 1] - 1) < 1e-5f);
    }
    CHECK_STATUS(dsl_session_classify(session, (const dsl_image *const *)images, 3, NULL, p, 5), DSL_STATUS_BUFFER_TOO_SMALL, "[3, 2]");
    CHECK_OK(dsl_session_class_map(session, images[0], DSL_LABEL_PREDICTED, NULL, NULL, 0, map, max_pixels, &label));
    CHECK(label == 0 || label == 1);
    for (int i = 0; i < max_pixels; i++) {
        CHECK(map[i] >= 0 && map[i] <= 1);
    }
    CHECK_OK(dsl_session_class_map(session, images[0], 1, NULL, NULL, 0, NULL, 0, &label));
    CHECK(label == 1);
    CHECK_OK(dsl_session_class_map(session, images[0], 1, NULL, NULL, 0, NULL, 0, NULL));
    CHECK_STATUS(dsl_session_class_map(session, images[0], 2, NULL, NULL, 0, NULL, 0, &label), DSL_STATUS_INVALID, "class");
    CHECK_STATUS(dsl_session_class_map(session, images[0], INT64_MIN, NULL, NULL, 0, NULL, 0, &label), DSL_STATUS_INVALID, "class");
    CHECK_STATUS(dsl_session_class_map(session, images[0], 0, NULL, NULL, 0, map, 5, &label), DSL_STATUS_BUFFER_TOO_SMALL, "1024");
    check_mask_scores(session, masked, NULL, "\"source\": \"grad_cam\"");
    mapping(session, dataset, masked);
    dsl_session_free(session);
    dsl_model_free(model);
}

/* A model that embeds has no class scores. */
static void not_classifying(const dsl_dataset *dataset, const dsl_dataset *masked) {
    dsl_model *model = NULL;
    dsl_session *session = NULL;
    dsl_report *report = NULL;
    float p[2];
    CHECK_OK(dsl_model_load("serve.dsl", &model));
    CHECK_OK(dsl_session_create(model, NULL, &session));
    CHECK_STATUS(dsl_session_classify(session, (const dsl_image *const *)images, 1, NULL, p, 2), DSL_STATUS_UNSUPPORTED, "classification");
    CHECK_STATUS(dsl_session_class_map(session, images[0], 0, NULL, NULL, 0, NULL, 0, NULL), DSL_STATUS_UNSUPPORTED, "classification");
    CHECK_STATUS(dsl_session_evaluate_masks(session, masked, "grad_cam", "test", NULL, &report), DSL_STATUS_UNSUPPORTED, "classification");
    check_mask_scores(session, masked, NULL, "\"source\": \"attention\"");
    mapping(session, dataset, masked);
    dsl_session_free(session);
    dsl_model_free(model);
}

static void serving(const dsl_dataset *dataset) {
    dsl_model *model = NULL, *copy = NULL;
    dsl_session *session = NULL, *second = NULL;
    dsl_session_options o;
    int32_t n = 0;
    char small[8], text[8192];
    size_t needed = 0;
    CHECK_OK(dsl_model_load("serve.dsl", &model));
    CHECK_OK(dsl_model_embedding_dim(model, &n));
    CHECK(n == dim);
    CHECK_OK(dsl_model_num_learners(model, &n));
    CHECK(n == 2);
    CHECK_OK(dsl_model_input_size(model, &n));
    CHECK(n == 32);
    CHECK_STATUS(dsl_model_info(model, small, sizeof small, &needed), DSL_STATUS_BUFFER_TOO_SMALL, "8");
    CHECK(needed > sizeof small && needed <= sizeof text);
    CHECK_OK(dsl_model_info(model, text, needed, &needed));
    CHECK(strlen(text) + 1 == needed && strstr(text, "\"left\"") != NULL);
    CHECK_STATUS(dsl_model_save(model, "no-such-folder/copy.dsl"), DSL_STATUS_NOT_FOUND, "copy.dsl");
    CHECK_OK(dsl_model_save(model, "copy.dsl"));
    CHECK_OK(dsl_model_load("copy.dsl", &copy));
    DSL_INIT(&o);
    o.device = "cuda";
    CHECK_STATUS(dsl_session_create(model, &o, &session), DSL_STATUS_DEVICE, "cuda");
    o.device = "cpu";
    o.threads = 1;
    o.batch_invariant = 1;
    CHECK_OK(dsl_session_create(model, &o, &session));
    CHECK_OK(dsl_session_create(copy, NULL, &second));
    dsl_model_free(copy); /* its session goes on */
    float a[dim], b[dim];
    CHECK_OK(dsl_session_embed(session, (const dsl_image *const *)images, 1, NULL, a, dim));
    CHECK_OK(dsl_session_embed(second, (const dsl_image *const *)images, 1, NULL, b, dim));
    for (int d = 0; d < dim; d++) {
        CHECK(fabsf(a[d] - b[d]) < 1e-5f);
    }
    embedding(session);
    explaining(session);
    evaluating(session, dataset);
    dsl_session_free(second);
    dsl_model_free(model);
    dsl_session_free(session);
}

static void calibrating(const dsl_dataset *dataset) {
    dsl_model *model = NULL, *calibrated = NULL, *again = NULL;
    dsl_session *session = NULL, *second = NULL;
    dsl_session_options o;
    dsl_calibrate_options c;
    float plain[dim], eight[dim], back[dim], dot = 0;
    CHECK_OK(dsl_model_load("serve.dsl", &model));
    DSL_INIT(&o);
    o.device = "cpu";
    o.threads = 1;
    CHECK_OK(dsl_session_create(model, &o, &session));
    CHECK_OK(dsl_session_embed(session, (const dsl_image *const *)images, 1, NULL, plain, dim));
    dsl_session_free(session);
    o.precision = "int8";
    CHECK_STATUS(dsl_session_create(model, &o, &session), DSL_STATUS_INVALID, "calibrate");
    DSL_INIT(&c);
    c.num_images = -1;
    CHECK_STATUS(dsl_model_calibrate(model, dataset, &c, NULL, &calibrated), DSL_STATUS_INVALID, "-1");
    c.num_images = 5;
    c.split = "best";
    CHECK_STATUS(dsl_model_calibrate(model, dataset, &c, NULL, &calibrated), DSL_STATUS_INVALID, "best");
    c.split = NULL;
    c.device = "gpu";
    CHECK_STATUS(dsl_model_calibrate(model, dataset, &c, NULL, &calibrated), DSL_STATUS_INVALID, "gpu");
    c.device = "cpu";
    c.reserved = 1;
    CHECK_STATUS(dsl_model_calibrate(model, dataset, &c, NULL, &calibrated), DSL_STATUS_ABI_MISMATCH, "reserved");
    CHECK(calibrated == NULL);
    CHECK_STATUS(dsl_model_calibrate(model, dataset, NULL, NULL, NULL), DSL_STATUS_INVALID, "out_model");
    CHECK_STATUS(dsl_model_calibrate(NULL, dataset, NULL, NULL, &calibrated), DSL_STATUS_INVALID, "");
    c.reserved = 0;
    c.threads = 1;
    CHECK_OK(dsl_model_calibrate(model, dataset, &c, NULL, &calibrated));
    dsl_model_free(model); /* the copy goes on */
    CHECK_OK(dsl_session_create(calibrated, &o, &session));
    CHECK_OK(dsl_session_embed(session, (const dsl_image *const *)images, 1, NULL, eight, dim));
    CHECK_OK(dsl_model_save(calibrated, "int8.dsl"));
    CHECK_OK(dsl_model_load("int8.dsl", &again));
    CHECK_OK(dsl_session_create(again, &o, &second));
    CHECK_OK(dsl_session_embed(second, (const dsl_image *const *)images, 1, NULL, back, dim));
    for (int d = 0; d < dim; d++) {
        dot += plain[d] * eight[d];
        CHECK(eight[d] == back[d]);
    }
    CHECK(dot > 0.99f);
    dsl_session_free(session);
    dsl_session_free(second);
    dsl_model_free(calibrated);
    dsl_model_free(again);
}

int main(void) {
    dsl_dataset *dataset = make_dataset();
    training(dataset);
    start_from_weights(dataset);
    choices(dataset);
    shares(dataset);
    resuming(dataset);
    cancelling(dataset);
    serving(dataset);
    calibrating(dataset);
    dsl_dataset *masked = masked_dataset();
    classifying(dataset, masked);
    not_classifying(dataset, masked);
    dsl_dataset_free(masked);
    for (int i = 0; i < num_images; i++) {
        dsl_image_free(images[i]);
    }
    dsl_dataset_free(dataset);
    CHECK(dsl_live_handles() == 0);
    return finish();
}
