"""Fields of config.json that change nothing of what a trained network computes. No torch."""

# How it was trained, saved or named, what task heads it has, and how others write text with it:
# corpusmill takes the ids of control tokens from the tokenizer.
_OF_ALL = """
architectures auto_map attn_implementation chunk_size_feed_forward dtype finetuning_task
gradient_checkpointing id2label initializer_range label2id model_type num_labels output_attentions
output_hidden_states problem_type return_dict sequence_length task_specific_params tf_legacy_loss
tokenizer_class torch_dtype torchscript transformers_version use_bfloat16 use_cache

bos_token_id decoder_start_token_id eos_token_id forced_bos_token_id forced_eos_token_id
pad_token_id prefix sep_token_id force_bos_token_to_be_generated

bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping
encoder_no_repeat_ngram_size exponential_decay_length_penalty length_penalty max_length min_length
no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_scores
remove_invalid_values repetition_penalty return_dict_in_generate suppress_tokens temperature top_k
top_p typical_p
"""
_BY_TYPE = {
    "qwen3": "max_window_layers sliding_window",  # of windows that none of its layers has
    "gpt2": """attn_pdrop embd_pdrop n_ctx reorder_and_upcast_attn resid_pdrop summary_activation
        summary_first_dropout summary_proj_to_labels summary_type summary_use_proj""",
    "bert": """attention_probs_dropout_prob classifier_dropout directionality hidden_dropout_prob
        pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head
        pooler_type""",
}
# Of BART, from which both were made; transformers reads none of these of them.
_BART = """activation_dropout add_bias_logits add_final_layer_norm attention_dropout classif_dropout
    classifier_dropout decoder_layerdrop dropout encoder_layerdrop extra_pos_embeddings init_std
    normalize_before normalize_embedding static_position_embeddings"""


def is_inert(name: str, model_type: str) -> bool:
    """Whether a field may have any value."""
    more = _BY_TYPE.get(model_type, _BART).split()
    return name.startswith("_") or name in _OF_ALL.split() or name in more
