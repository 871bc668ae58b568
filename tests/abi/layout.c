/* Prints "struct size" and "struct.member offset size" for every struct of dsl.h. */
#include <dsl.h>

#include <stdio.h>

#define STRUCT(type) printf(#type " %zu\n", sizeof(type))
#define MEMBER(type, member) \
    printf(#type "." #member " %zu %zu\n", offsetof(type, member), sizeof(((type *)0)->member))

static void images(void) {
    STRUCT(dsl_array);
    MEMBER(dsl_array, struct_size);
    MEMBER(dsl_array, dtype);
    MEMBER(dsl_array, data);
    MEMBER(dsl_array, data_size_bytes);
    MEMBER(dsl_array, row_stride_bytes);
    MEMBER(dsl_array, height);
    MEMBER(dsl_array, width);
    MEMBER(dsl_array, channels);
    MEMBER(dsl_array, window_low);
    MEMBER(dsl_array, window_high);
    MEMBER(dsl_array, reserved);
}

static void models(void) {
    STRUCT(dsl_calibrate_options);
    MEMBER(dsl_calibrate_options, struct_size);
    MEMBER(dsl_calibrate_options, num_images);
    MEMBER(dsl_calibrate_options, split);
    MEMBER(dsl_calibrate_options, device);
    MEMBER(dsl_calibrate_options, threads);
    MEMBER(dsl_calibrate_options, reserved);
}

static void sessions(void) {
    STRUCT(dsl_session_options);
    MEMBER(dsl_session_options, struct_size);
    MEMBER(dsl_session_options, threads);
    MEMBER(dsl_session_options, device);
    MEMBER(dsl_session_options, batch_invariant);
    MEMBER(dsl_session_options, reserved);
    MEMBER(dsl_session_options, precision);
    STRUCT(dsl_explanation);
    MEMBER(dsl_explanation, struct_size);
    MEMBER(dsl_explanation, learner);
    MEMBER(dsl_explanation, grid_a);
    MEMBER(dsl_explanation, grid_b);
    MEMBER(dsl_explanation, map_a);
    MEMBER(dsl_explanation, map_b);
    MEMBER(dsl_explanation, grid_a_capacity);
    MEMBER(dsl_explanation, grid_b_capacity);
    MEMBER(dsl_explanation, map_a_capacity);
    MEMBER(dsl_explanation, map_b_capacity);
    MEMBER(dsl_explanation, similarity);
    MEMBER(dsl_explanation, bias_a);
    MEMBER(dsl_explanation, bias_b);
}

static void training(void) {
    STRUCT(dsl_progress);
    MEMBER(dsl_progress, struct_size);
    MEMBER(dsl_progress, stage);
    MEMBER(dsl_progress, event);
    MEMBER(dsl_progress, epoch);
    MEMBER(dsl_progress, num_learners);
    MEMBER(dsl_progress, learner);
    MEMBER(dsl_progress, best);
    MEMBER(dsl_progress, reserved);
    MEMBER(dsl_progress, step);
    MEMBER(dsl_progress, num_steps);
    MEMBER(dsl_progress, learning_rate);
    MEMBER(dsl_progress, loss);
    MEMBER(dsl_progress, nmi);
    MEMBER(dsl_progress, recall_at_1);
    MEMBER(dsl_progress, macro_recall_at_1);
    MEMBER(dsl_progress, elapsed_s);
    MEMBER(dsl_progress, message);
    STRUCT(dsl_train_options);
    MEMBER(dsl_train_options, struct_size);
    MEMBER(dsl_train_options, learners);
    MEMBER(dsl_train_options, out_path);
    MEMBER(dsl_train_options, log_path);
    MEMBER(dsl_train_options, init_path);
    MEMBER(dsl_train_options, backbone);
    MEMBER(dsl_train_options, stem);
    MEMBER(dsl_train_options, attention);
    MEMBER(dsl_train_options, profile);
    MEMBER(dsl_train_options, device);
    MEMBER(dsl_train_options, embedding_dim);
    MEMBER(dsl_train_options, input_size);
    MEMBER(dsl_train_options, epochs);
    MEMBER(dsl_train_options, batch_size);
    MEMBER(dsl_train_options, images_per_class);
    MEMBER(dsl_train_options, threads);
    MEMBER(dsl_train_options, skip_unreadable);
    MEMBER(dsl_train_options, nondeterministic);
    MEMBER(dsl_train_options, steps);
    MEMBER(dsl_train_options, seed);
    MEMBER(dsl_train_options, learning_rate);
    MEMBER(dsl_train_options, validation_share);
    MEMBER(dsl_train_options, progress);
    MEMBER(dsl_train_options, progress_user);
    MEMBER(dsl_train_options, precision);
    MEMBER(dsl_train_options, warmup_share);
    MEMBER(dsl_train_options, finetune_share);
    MEMBER(dsl_train_options, loss);
    MEMBER(dsl_train_options, mining);
    MEMBER(dsl_train_options, beta);
    MEMBER(dsl_train_options, cluster_space);
    MEMBER(dsl_train_options, recluster_every);
    MEMBER(dsl_train_options, patience);
    MEMBER(dsl_train_options, embedding_rate);
    MEMBER(dsl_train_options, checkpoint_every_s);
    MEMBER(dsl_train_options, resume);
    MEMBER(dsl_train_options, exact_convolutions);
}

static void indexes(void) {
    STRUCT(dsl_search_options);
    MEMBER(dsl_search_options, struct_size);
    MEMBER(dsl_search_options, threads);
    MEMBER(dsl_search_options, learner);
    MEMBER(dsl_search_options, exclude_ids);
    MEMBER(dsl_search_options, exclude_int_ids);
    MEMBER(dsl_search_options, exclude_groups);
    MEMBER(dsl_search_options, device);
    STRUCT(dsl_cluster_options);
    MEMBER(dsl_cluster_options, struct_size);
    MEMBER(dsl_cluster_options, threads);
    MEMBER(dsl_cluster_options, restarts);
    MEMBER(dsl_cluster_options, max_iterations);
    MEMBER(dsl_cluster_options, seed);
    MEMBER(dsl_cluster_options, device);
}

int main(void) {
    indexes();
    images();
    models();
    sessions();
    training();
    return 0;
}
