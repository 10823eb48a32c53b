# %% [markdown] tags=["title"]
# # 01 · VGG anatomy
#
# *Question*: What does each layer of the network respond to?
#
# *Time*: 55 minutes to read and work; computing: 1 minute on a slow processor (AVX2), 1 on one with bfloat16.
#
# Style transfer compares pictures by the activations of VGG, a network for image classification from 2014. In this
# lesson you take the network apart: its layers, their cost, the part of the picture that an activation depends on, and
# the patterns that individual channels respond to. At the end you ask it what is in a photo.
#
# You need to know what a convolution, a ReLU and a pooling are, and what a gradient is. At the end you can
#
# - read the activations of any layer of any PyTorch model with a forward hook;
# - find out, in two ways, what a channel of a layer responds to;
# - compute a Gram matrix and say what a large entry and a small entry mean.

# %%
from collections import Counter

import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from nstlib import VGGFeatures, classify, gram_matrix, layer_names, total_variation
from nstlib.course import activation, anatomy, check, diagrams, figures, profile_for, show
from nstlib.course.interactive import slide, wipe
from nstlib.course.tasks import lesson_01 as solved
from nstlib.data import gallery
from nstlib.vgg import PREPROCESSING

profile = profile_for("01_vgg_anatomy")
features = VGGFeatures(weights="compact", precision="float32")
profile

# %% tags=["test"]
from nstlib.course.claims import lesson_01 as claims

# %% [markdown]
# ## 1 · Six configurations
#
# Simonyan and Zisserman asked what happens if a network only gets deeper. They compared six networks that differ in
# little else. Each has five blocks of 3x3 convolutions, and each block ends with a max pooling that halves both sides
# of its maps. Three fully connected layers follow. The diagram shows the largest one, VGG-19, without the fully
# connected layers:

# %%
diagrams.vgg("vgg19")

# %% [markdown]
# A layer's name tells its block and its number in the block: `conv3_2` is the second convolution of block 3, `relu3_2`
# the ReLU after it, `pool3` the pooling at the end of the block. Gatys' method uses the convolutional part only.
#
# Here is the paper's table of configurations as data. `"3-64"` is a 3x3 convolution with 64 output channels, `"M"` a
# max pooling, `"LRN"` a local response normalization.

# %%
plans = {
    "A": "3-64 M  3-128 M  3-256 3-256 M  3-512 3-512 M  3-512 3-512 M",
    "A-LRN": "3-64 LRN M  3-128 M  3-256 3-256 M  3-512 3-512 M  3-512 3-512 M",
    "B": "3-64 3-64 M  3-128 3-128 M  3-256 3-256 M  3-512 3-512 M  3-512 3-512 M",
    "C": "3-64 3-64 M  3-128 3-128 M  3-256 3-256 1-256 M  3-512 3-512 1-512 M  3-512 3-512 1-512 M",
    "D": "3-64 3-64 M  3-128 3-128 M  3-256 3-256 3-256 M  3-512 3-512 3-512 M  3-512 3-512 3-512 M",
    "E": "3-64 3-64 M  3-128 3-128 M  3-256 3-256 3-256 3-256 M  3-512 3-512 3-512 3-512 M  3-512 3-512 3-512 3-512 M",
}

# %% [markdown]
# The next cell turns a configuration into a network. On the **meta device** a tensor has a shape but no memory, so all
# six networks are built at once. `models.VGG` adds the fully connected layers.


# %%
def build(plan):
    layers, channels = [], 3
    for word in plan.split():
        if word == "M":
            layers.append(nn.MaxPool2d(2))
        elif word == "LRN":
            layers.append(nn.LocalResponseNorm(5, k=2.0))
        else:
            kernel, out_channels = map(int, word.split("-"))
            layers += [nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2), nn.ReLU()]
            channels = out_channels
    return models.VGG(nn.Sequential(*layers), init_weights=False)


with torch.device("meta"):
    networks = {name: build(plan) for name, plan in plans.items()}

# %% [markdown]
# **Exercise: the parameters of a convolution.** Its kernel has `kernel` x `kernel` positions; it has `in_channels`
# input and `out_channels` output channels, and a bias.


# %% tags=["exercise"]
def conv_parameters(kernel, in_channels, out_channels):
    """Return the number of parameters of nn.Conv2d(in_channels, out_channels, kernel)."""
    # SOLUTION
    return kernel * kernel * in_channels * out_channels + out_channels
    # END SOLUTION


# %%
check.function("conv_parameters", conv_parameters)

# %% [markdown]
# **Predict.** The paper's table 3 compares the six networks, all trained and tested at the same scale. From A, with 11
# layers that have weights, to E with 19: does the classification error fall all the way?
#
# - `"a"` yes, each deeper network is better
# - `"b"` it falls, and then stops falling
# - `"c"` there is no pattern

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_depth = ...  # "a", "b" or "c"
guess_depth = "b"
# END SOLUTION

# %%
errors = {"A": 29.6, "A-LRN": 29.7, "B": 28.7, "C": 28.1, "D": 27.0, "E": 27.3}  # top-1 error in %, scale 256
anatomy.lines(
    {"": errors}, "the error falls until 16 layers (D)", "top-1 error, %", xlabel="configuration, from 11 to 19 layers"
)

# %%
check.choice("what depth bought", guess_depth)

# %%
millions = {name: round(sum(p.numel() for p in network.parameters()) / 1e6, 1) for name, network in networks.items()}
rows = [
    [name, plan.count("-") + 3, millions[name], f"{errors[name]} %"] for name, plan in plans.items()
]
anatomy.Table(["configuration", "layers with weights", "parameters, millions", "top-1 error"], rows)

# %% tags=["test"]
claims.our_networks_have_the_parameters_that_torchvision_and_the_paper_state(networks)
claims.the_error_stops_falling_after_d(errors)

# %% [markdown]
# Depth helps up to 16 layers. The normalization did not help, so the authors dropped it. C has the depth of D, but
# three of its kernels are 1x1, which depend on a single position: C is better than B and worse than D. Additional ReLUs
# help, and larger receptive fields help more.
#
# Report 000 prints this table. In the text that we have of it, the columns C, D and E have only one convolution in each
# of the first two blocks, which makes 14, 14 and 17 layers; its heads say 16, 16 and 19.
#
# ## 2 · Reading activations
#
# How do you look inside a model that somebody else wrote? In PyTorch you register a **forward hook** on a module: a
# function that PyTorch calls after the module's forward pass, with the module, its inputs and its output.
#
# ```python
# def print_shape(layer, arguments, result):
#     print(result.shape)
#
# registered = layer.register_forward_hook(print_shape)
# network(image)         # prints the shape
# registered.remove()    # otherwise every later call of the network prints it, too
# ```
#
# **Exercise.** Write a function that returns the outputs of some modules of a model.
#
# - `model.named_modules()` yields each module with its name, such as `"features.0"`.
# - Register the hooks, call the model once, remove the hooks.
# - Return a dictionary in the order of `names`. If the picture requires a gradient, the activations must stay in the
#   graph: lesson 02 computes gradients through them.
# - Some models contain `nn.ReLU(inplace=True)`, which writes its result into the memory of its input. torchvision's VGG
#   does. The output of a convolution must be returned as it was.


# %% tags=["exercise"]
def read_activations(model, names, picture):
    """Return {name: output of that module} for a picture (N, 3, H, W), from one forward pass."""
    # SOLUTION
    # STUDENT: ...  # your code here
    modules, found = dict(model.named_modules()), {}

    def hook_for(name):
        def hook(module, inputs, output):
            found[name] = output.clone()  # a copy: an in-place ReLU may overwrite the output

        return hook

    handles = [modules[name].register_forward_hook(hook_for(name)) for name in names]
    model(picture)
    for handle in handles:
        handle.remove()
    return {name: found[name] for name in names}
    # END SOLUTION


# %%
reading = check.function("read_activations", read_activations)
reading

# %% [markdown]
# Your function (the course's until yours is right) now reads one forward pass of torchvision's VGG-16 and VGG-19. On
# the meta device nothing is computed but shapes, and shapes are what the table needs. One multiply-add is one
# multiplication and one addition.

# %%
read = read_activations if reading.ok else solved.read_activations


def survey(network, arch):
    """Return for each layer with weights and each pooling: shape of its output, parameters, multiply-adds."""
    names = {f"features.{i}": name for i, name in enumerate(layer_names(arch)) if not name.startswith("relu")}
    names |= {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}
    outputs = read(network.eval(), list(names), torch.empty(1, 3, 224, 224, device="meta"))
    found = {}
    for module, output in outputs.items():
        weights = list(network.get_submodule(module).parameters())  # [weight, bias], or [] for a pooling
        work = output.numel() * weights[0][0].numel() if weights else 0
        row = {"shape": tuple(output.shape[1:]), "parameters": sum(w.numel() for w in weights), "work": work}
        found[names[module]] = row
    return found


# %%
with torch.device("meta"):
    sixteen, nineteen = survey(models.vgg16(), "vgg16"), survey(models.vgg19(), "vgg19")

# %% [markdown]
# **Predict.** Which layers of VGG-19 have most of the parameters, and which need most of the multiply-adds?
#
# - `"a"` the first convolution has most of both, because its maps are the largest
# - `"b"` most parameters are in a fully connected layer, most multiply-adds in the convolutions
# - `"c"` the last convolution has most of both, because it has the most channels

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_where = ...  # "a", "b" or "c"
guess_where = "b"
# END SOLUTION

# %%
lines = []
for name, row in nineteen.items():
    shape = " x ".join(map(str, row["shape"]))
    in_sixteen = "yes" if name in sixteen else "no"
    lines.append([name, shape, row["parameters"], f"{row['work'] / 1e6:,.0f}", in_sixteen])
anatomy.Table(["layer", "output (C x H x W)", "parameters", "multiply-adds, millions", "in VGG-16"], lines)

# %%
parts = {f"block {b}": [n for n in nineteen if n[:5] == f"conv{b}"] for b in range(1, 6)}
parts |= {name: [name] for name in ("fc6", "fc7", "fc8")}


def share(what):
    """The share of each part of VGG-19 in percent."""
    total = sum(row[what] for row in nineteen.values())
    return {part: 100 * sum(nineteen[n][what] for n in names) / total for part, names in parts.items()}


figures.bars(share("parameters"), unit="%", title="parameters: most are in fc6", highlight="fc6")

# %%
figures.bars(share("work"), unit="%", title="multiply-adds: nearly all are in the convolutions", highlight="fc6")

# %%
check.choice("where the parameters sit", guess_where)

# %% tags=["test"]
claims.the_survey_agrees_with_what_torchvision_states(sixteen, nineteen)
claims.fc6_holds_most_parameters_and_convolutions_most_work(sixteen, nineteen)

# %% [markdown]
# VGG-19 is VGG-16 with one more convolution in each of the blocks 3, 4 and 5. Report 000 is right that most parameters
# come from the first fully connected layer: 72 % in VGG-19 and 74 % in VGG-16. Style transfer drops it. VGG-19 up to
# `conv5_1` has 9 % of the parameters. And only the fully connected layers require pictures of 224 x 224 (report 003
# writes that the input is fixed): convolutions take any size.
#
# **The compact network.** This lesson uses a narrow VGG-19 that comes with the package. It has the same layers, but
# fewer channels:

# %%
blocks = [f"relu{b}_1" for b in range(1, 6)]
rows = [
    [f"channels in block {n[4]}", nineteen[n.replace("relu", "conv")]["shape"][0], features.channels(n)] for n in blocks
]
full = sum(row["parameters"] for name, row in nineteen.items() if name.startswith("conv"))
rows.append(["parameters of the convolutions", full, sum(p.numel() for p in features.parameters())])
anatomy.Table(["", "VGG-19", "compact VGG-19"], rows)

# %% [markdown]
# Its layers up to `conv3_4` were trained to reproduce the activations of the real VGG-19 (*distillation*). **Its blocks
# 4 and 5 were not**: they were trained on top of that to name 202 classes of small pictures. What you find below about
# blocks 1 to 3 holds for VGG; what you find about blocks 4 and 5 holds for this small network.
#
# ## 3 · The receptive field
#
# The **receptive field** of an activation is the part of the picture that it depends on. It limits what a layer can
# respond to.
#
# **Exercise.** `layers` is a list of pairs (kernel, stride), from the first layer to the last. Return the side of the
# receptive field in pixels. You need two numbers: the field so far, and the distance in the *picture* between two
# neighboring activations.


# %% tags=["exercise"]
def receptive_field(layers):
    """Return the side of the receptive field after layers [(kernel, stride), ...]."""
    # SOLUTION
    field = jump = 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field
    # END SOLUTION


# %%
counting = check.function("receptive_field", receptive_field)
counting

# %%
field_of = receptive_field if counting.ok else solved.receptive_field
fields = {}
for arch in ("vgg16", "vgg19"):
    passed, fields[arch] = [], {}
    for name in layer_names(arch):
        if not name.startswith("relu"):
            passed.append((2, 2) if name.startswith("pool") else (3, 1))
            fields[arch][name] = field_of(passed)
ends = [f"conv{b}_1" for b in range(1, 6)]
table = {arch.replace("vgg", "VGG-"): {name: sizes[name] for name in ends} for arch, sizes in fields.items()}
anatomy.lines(table, "each pooling doubles the growth of the receptive field", "side in pixels", xlabel="layer")

# %% tags=["test"]
claims.the_fields_of_vgg_are_known(fields)

# %% [markdown]
# In VGG-19 an activation of `conv3_1` depends on 24 x 24 pixels, one of `conv4_2` (Gatys' content layer) on 84 x 84,
# and one of `conv5_4` on 252 x 252, more than the input of the classifier has. Report 000 names layers by a running
# number and takes its `conv_4` for the content. That is `conv2_2`, whose field has 14 pixels.
#
# Does an activation depend on its whole field equally? We measure it: the gradient of the activation in the middle of
# each layer with respect to the pixels. The white frame is the receptive field.

# %%
smooth = VGGFeatures(weights="compact", precision="float32", pooling="avg", fast=False)
square = gallery.content("chelsea", 480)[:, :, 10:298, 96:384].clone().requires_grad_()
influence = {}
for name, maps in smooth(square, ["relu2_2", "relu3_4", "relu4_4"]).items():
    row, column = (side // 2 for side in maps.shape[2:])
    (gradient,) = torch.autograd.grad(maps[0, :, row, column].sum(), square, retain_graph=True)
    influence[name] = gradient[0].abs().sum(0)  # (H, W)


# %%
def framed(picture, name):
    """A copy of a picture (1, 3, H, W) with a frame around the receptive field of its middle activation."""
    field, picture = activation.receptive_field(name), picture.clone()
    start = 144 // field.jump * field.jump + field.start
    box = picture[:, :, start : start + field.size, start : start + field.size]
    box[:, :, [0, -1]] = box[:, :, :, [0, -1]] = 1
    return picture


roots = {name: anatomy.heatmap(values.sqrt(), 288) for name, values in influence.items()}  # makes faint values visible
show(
    {f"{name}: {activation.receptive_field(name).size} px": framed(p, name)[:, :, 80:208, 80:208] for name, p in roots.items()},
    columns=3,
    caption="the middle 128 x 128 pixels of the photo: bright pixels have the largest influence",
)

# %% tags=["test"]
claims.most_influence_comes_from_the_middle_of_the_field(influence)

# %% [markdown]
# Nothing outside the frame has an influence, and in `relu3_4` and `relu4_4` most of it comes from the middle of the
# frame. Luo and others (2016) call this the *effective* receptive field. Many paths lead from a pixel in the middle to
# the activation, and only one from a pixel in the corner.
#
# **Why 3x3?** Two 3x3 convolutions have the receptive field of one 5x5, three that of one 7x7. The price, for 256
# channels in and out:

# %%
price = {"one large kernel": {}, "a stack of 3x3 kernels": {}}
for side in (3, 5, 7, 9, 11):
    price["one large kernel"][side] = solved.conv_parameters(side, 256, 256) / 1e6
    price["a stack of 3x3 kernels"][side] = (side - 1) // 2 * solved.conv_parameters(3, 256, 256) / 1e6
anatomy.lines(price, "a stack of 3x3 kernels is cheaper", "parameters, millions", xlabel="side of the receptive field")

# %% tags=["test"]
claims.stacks_of_small_kernels_are_cheaper(price)

# %% [markdown]
# A stack needs 18 weights in place of 25 for a field of 5, and 27 in place of 49 for a field of 7, and it adds a ReLU
# after each layer. Report 000 says that "the stacked smaller convolution kernel is better than the larger kernel". The
# two are not equivalent: without the ReLU between them, two 3x3 kernels can represent only some of all 5x5 kernels.
#
# ## 4 · Preprocessing
#
# A network expects inputs as in its training. torchvision's weights, and the compact ones, expect RGB in [0, 1], from
# which the mean color of ImageNet is subtracted; the result is divided by the standard deviation of each color.

# %%
_, mean, std = PREPROCESSING["imagenet"]
mean, std = torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)
photo = gallery.content("chelsea", profile.size)  # (1, 3, H, W)
ready = (photo - mean) / std
print("mean color of the photo:", [f"{v:.2f}" for v in photo.mean((0, 2, 3))])
print("after the preprocessing:", [f"{v:.2f}" for v in ready.mean((0, 2, 3))])

# %% [markdown]
# **Predict.** Four classic mistakes: (1) no preprocessing at all; (2) red and blue swapped, because OpenCV reads BGR;
# (3) pixels in [0, 255] in place of [0, 1]; (4) the division is forgotten. Which one changes the activations most?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_mistake = ...  # "1", "2", "3" or "4"
guess_mistake = "3"
# END SOLUTION

# %% [markdown]
# `VGGFeatures` preprocesses its input itself. To make a mistake, we pass the picture that it turns into the wrong
# input. The table shows the distance of the activations from the right ones, relative to the norm of the right ones: 1
# is the distance of an all-zero map.

# %%
wrong = {"1 no preprocessing": photo, "2 BGR": ready.flip(1), "3 [0, 255]": (255 * photo - mean) / std}
wrong["4 no division"] = photo - mean
looked_at = [f"relu{b}_1" for b in range(1, 6)]
with torch.no_grad():
    right_maps = features(photo, looked_at)
    # iter_features does not refuse pixels outside [0, 1]
    wrong_maps = {name: dict(features.iter_features(x * std + mean, looked_at)) for name, x in wrong.items()}
harm = {
    name: {n: ((maps[n] - right_maps[n]).norm() / right_maps[n].norm()).item() for n in looked_at}
    for name, maps in wrong_maps.items()
}
rows = [[name, *(f"{value:.2f}" for value in of_layers.values())] for name, of_layers in harm.items()]
anatomy.Table(["relative distance from the right activations", *looked_at], rows)

# %%
check.choice("the worst mistake", guess_mistake)

# %% tags=["test"]
claims.pixels_up_to_255_do_the_most_harm(harm)

# %% [markdown]
# No line of code fails, and each wrong map, drawn on its own scale, still shows the cat. A style transfer with such a
# mistake still returns a picture, because content and style pass through the same wrong preprocessing. You will hunt
# this bug in the failure lab (lesson 09).
#
# Report 003 writes that subtracting the mean is "the only preprocessing". That is true for the paper. The weights that
# torchvision distributes also need the division:

# %%
models.VGG19_Weights.IMAGENET1K_V1.transforms()

# %% [markdown]
# ## 5 · Feature maps of all layers
#
# One forward pass returns the maps of all layers. The slider shows, for eight of the sixteen ReLUs, the map that varies
# most over the photo: dark is zero, bright is large.

# %%
with torch.no_grad():
    maps = features(photo, features.available)
relus = [name for name in features.available if name.startswith("relu")]
some = ["relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_4", "relu4_1", "relu4_4", "relu5_1"]
best = {name: anatomy.top_channels(maps[name], 1)[0] for name in some}
slide({f"{name}, channel {c}": anatomy.heatmap(maps[name][0, c], 300) for name, c in best.items()}, side=300)

# %% [markdown]
# The maps of `relu1_2`, `relu2_1` and `relu2_2` look like drawings: edges, most of them in one direction. The rims of
# the eyes are clear. Each pooling halves the resolution. In `relu4_4` and `relu5_1` few activations are not zero, and
# each of them stands for a large region of the photo.
#
# All other maps are in this browser. `map 1` is the channel that varies most. Find one that responds to the eyes, and
# one that responds to the background.

# %%
anatomy.Browser({name: maps[name] for name in relus})

# %% [markdown] tags=["solution-only"]
# **Made with the real VGG-19** (its layers conv1_1 to conv3_4): the channel that varies most, and below it the most
# similar channel of the compact network.
#
# ![Feature maps of the photo astronaut in six layers of the real VGG-19, each above the most similar map of the compact
# network](../../docs/images/real_vgg19/A2_feature_maps.jpg)
#
# In block 1 the compact network has nearly the same maps. In blocks 2 and 3 single channels differ, but linear
# combinations of the compact network's maps explain 88 % or more of the variance of the real ones.

# %% [markdown]
# ## 6 · What does a channel respond to?
#
# A feature map shows *where* a channel responds, in one photo. It does not tell to *what*. Two experiments do:
#
# 1. **The most exciting patches.** We look through 18 photos and paintings for the positions where a channel is
#    largest, and cut out their receptive fields. They contain all that the activation depends on.
# 2. **Activation maximization.** We change the pixels of a picture, starting from noise, so that the mean activation of
#    the channel grows: gradient *ascent* on the picture. The network's weights stay fixed.
#
# First the patches, for three channels of `relu3_1`, called A, B and C. The white lines separate patches.

# %%
pictures = activation.library(384)
trio = {"A": 10, "B": 19, "C": 23}
patches = dict(zip(trio, activation.exciting_patches(features, "relu3_1", list(trio.values()), pictures)))
show({f"{letter}: channel {trio[letter]}": activation.mosaic(patches[letter][:6]) for letter in trio}, columns=3)

# %% [markdown]
# **Predict.** What will gradient ascent draw for channel B?
#
# - `"a"` parallel stripes
# - `"b"` a field of small dark spots
# - `"c"` large regions of two colors without a preferred direction

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_ascent = ...  # "a", "b" or "c"
guess_ascent = "b"
# END SOLUTION

# %% [markdown]
# Two additions to plain gradient ascent make the pictures readable. **Jitter**: each step shifts the picture by a few
# pixels at random, so that no pattern can adapt to the grid of the poolings. **A prior**: the total variation is added
# to the loss; it penalizes differences between neighboring pixels. The logarithm makes one weight of the prior suit all
# channels, whatever the size of their activations.


# %%
def ascend(layer, channel, prior=8.0, jitter=8, steps=50):
    """Return a picture (1, 3, 128, 128) that maximizes the mean activation of a channel."""
    random = torch.Generator().manual_seed(0)
    x = (0.5 + 0.05 * torch.randn(1, 3, 128, 128, generator=random)).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        down, right = torch.randint(-jitter, jitter + 1, (2,), generator=random).tolist()
        response = features(x.roll((down, right), (2, 3)), layer)[layer][:, channel].mean()
        loss = prior * total_variation(x) - torch.log(1e-6 + response)
        loss.sum().backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach()


# %%
drawn = {letter: ascend("relu3_1", channel) for letter, channel in trio.items()}
show({f"{letter}: channel {trio[letter]}": p[:, :, 16:112, 16:112] for letter, p in drawn.items()}, columns=3)

# %%
check.choice("what the ascent draws for B", guess_ascent)

# %%
responses = {
    letter: [features(picture, "relu3_1")["relu3_1"][0, channel].mean().item() for channel in trio.values()]
    for letter, picture in drawn.items()
}
photos_best = [
    max(features(p, "relu3_1")["relu3_1"][0, channel].mean().item() for p in pictures.values())
    for channel in trio.values()
]
rows = [[f"drawn for {letter}", *(f"{value:.2f}" for value in values)] for letter, values in responses.items()]
rows.append(["best of 18 photos and paintings", *(f"{value:.2f}" for value in photos_best)])
anatomy.Table(["mean activation in relu3_1", *(f"channel {c} ({letter})" for letter, c in trio.items())], rows)

# %% tags=["test"]
claims.a_drawn_picture_excites_its_own_channel_most(responses)
claims.a_drawn_picture_excites_more_than_any_photo(responses, photos_best)
claims.channel_a_prefers_vertical_stripes_and_b_no_direction(drawn)

# %% [markdown]
# Channel A responds to vertical stripes, B to dark spots, C to the contrast of two colors, red and turquoise. The drawn
# pictures agree with the patches but show the pattern without the objects. Each of them excites its own channel several
# times more than any of the photos does. This is the strength of the method and its weakness: the drawn picture shows
# what the network *could* respond to, the patches show what it does respond to in photos.
#
# **The same for other layers.** The slider shows channels of `relu1_1`, `relu2_1` and `relu4_1`: on the left the drawn
# picture, on the right the patches that excite the channel most. `activation.maximize` does what `ascend` does, for
# several channels at once.

# %%
chosen = {"relu1_1": [9, 4], "relu2_1": [2, 3], "relu4_1": [7, 17]}
both = {}
for layer, channels in chosen.items():
    field = activation.receptive_field(layer).size
    found = activation.exciting_patches(features, layer, channels, pictures)
    for channel, picture, excited in zip(channels, activation.maximize(features, layer, channels), found):
        label = f"{layer}, channel {channel}, patches of {field} x {field} pixels"
        middle = picture[None, :, 32:96, 32:96] if field < 24 else picture[None]  # so that fine patterns can be seen
        both[label] = activation.beside(middle, activation.mosaic(excited))
slide(both, side=540)

# %% tags=["test"]
claims.drawn_edges_have_the_direction_of_their_channel(activation.maximize(features, "relu1_1", [9, 1]))

# %% [markdown]
# Channel 9 of `relu1_1` responds to vertical edges, channel 4 to a color. Channels of `relu2_1` respond to bars and
# spots of a few pixels. In `relu4_1` the drawn pictures show rings and arches, patterns that are made of several edges.
# The patches of 68 pixels have less in common than those of the lower layers. (Block 4 of the compact network is not
# VGG's, see section 2. Zeiler and Fergus show larger and more complex patterns in deeper layers for a network like
# VGG.)
#
# **What the prior does.** Channel 7 of `relu4_1`, drawn with three weights of the total variation:

# %%
weights = (0.0, 8.0, 30.0)
priors = {f"{w:g}": activation.maximize(features, "relu4_1", [7], prior=w) for w in weights}
slide(priors, "weight of the prior", side=288)

# %%
roughness = {weight: total_variation(picture).item() for weight, picture in priors.items()}
figures.bars(roughness, title="total variation of the drawn picture, by the weight of the prior")

# %% tags=["test"]
claims.a_larger_prior_makes_a_smoother_picture(roughness)

# %% [markdown]
# Without a prior the lines are thin and sharp; with a weight of 30 the rings are blurred dots.
# The prior adds our own assumption about pictures. How far the details come from the channel and how far from the
# prior, the picture alone does not tell. Try `ascend` with `jitter=0`, too.
#
# ## 7 · Which channels are active together?
#
# Style transfer describes a texture by this question. The **Gram matrix** of a layer has an entry for each pair of
# channels: the product of their two maps $F_i$ and $F_j$, averaged over the positions $k$.
#
# $$G_{ij} = \frac{1}{HW} \sum_k F_{ik} F_{jk}$$
#
# It is large if both channels are active at the same positions. *Where* these are does not matter.
#
# **Exercise.** Compute Gram matrices of a batch, divided by the number of positions.


# %% tags=["exercise"]
def my_gram(maps):
    """Return Gram matrices (N, C, C) of activations (N, C, H, W)."""
    # SOLUTION
    rows = maps.flatten(2)  # (N, C, H*W)
    return rows @ rows.transpose(1, 2) / rows.shape[2]
    # END SOLUTION


# %%
grams = check.gram_matrix(my_gram)
grams

# %% [markdown]
# **Predict.** Three channels of `relu1_1`: A responds to edges that are light above and dark below, B to edges that are
# dark above and light below, C to vertical edges. Which pair has the *smallest* entry in the Gram matrix of a photo?
#
# - `"ab"` A and B
# - `"ac"` A and C
# - `"bc"` B and C

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_pair = ...  # "ab", "ac" or "bc"
guess_pair = "ab"
# END SOLUTION

# %%
edges = {"A": 1, "B": 8, "C": 9}
high, broad = maps["relu1_1"].shape[2:]
middle = maps["relu1_1"][0, :, high // 4 : -high // 4, broad // 4 : -broad // 4]  # the cat's face
wipe(*(anatomy.heatmap(middle[edges[letter]], 400) for letter in "AB"), ("A: light above dark", "B: dark above light"))

# %% [markdown]
# The border between the maps of A and B can be moved: where one is bright, the other is dark. The table divides each
# entry by $\sqrt{G_{ii} G_{jj}}$, which makes cosines: 1 for maps that are equal up to a factor, 0 for maps that are
# never active at the same position.

# %%
gram_of = my_gram if grams.ok else gram_matrix
gram = gram_of(maps["relu1_1"].float())[0][list(edges.values())][:, list(edges.values())]  # (3, 3)
cosines = gram / gram.diag().sqrt() / gram.diag().sqrt()[:, None]
anatomy.Table(["", *edges], [[a, *(f"{v:.2f}" for v in row)] for a, row in zip(edges, cosines.tolist())])

# %%
check.choice("the smallest Gram entry", guess_pair)

# %% tags=["test"]
claims.opposite_edges_are_rarely_active_together(cosines)

# %% [markdown]
# A and B look for edges of the same direction, and still they are the pair with the smallest entry: at an edge, one of
# them is positive and the other is cut off to zero by the ReLU. Either of them is active together with C at corners and
# slanted edges. Lesson 03 builds the style loss on this matrix.
#
# ## 8 · ReLU and pooling
#
# **ReLU.** `relu(x)` is `max(x, 0)`. Report 003 says that it is used "to make the image smooth and make boundaries
# distinct". A sine is as smooth as a function can be. What does a ReLU do to its frequencies?

# %%
time = torch.arange(512) / 512
wave = torch.sin(2 * torch.pi * 8 * time)  # 8 periods
spectra = {"sin": torch.fft.rfft(wave).abs() / 256, "relu(sin)": torch.fft.rfft(F.relu(wave)).abs() / 256}
shown = range(0, 57, 8)
lines = {name: {n: spectrum[n].item() for n in shown} for name, spectrum in spectra.items()}
anatomy.lines(lines, "a ReLU adds frequencies to a sine", "amplitude", xlabel="periods")

# %%
zeros = {name: 100 * (maps[name] == 0).float().mean().item() for name in relus}
anatomy.lines(
    {"": zeros}, "in relu4_2 to relu4_4 most activations are zero", "activations that are exactly zero, %", xlabel="layer"
)

# %% tags=["test"]
claims.a_relu_adds_frequencies(lines)
claims.most_activations_after_relu4_1_are_zero(zeros)

# %% [markdown]
# A ReLU adds higher frequencies: the wave has corners now. It smooths nothing. It is needed because without it two
# convolutions in a row would be one convolution with a larger kernel, and so would all sixteen. And it sets activations
# to exactly zero: in `relu1_2` few of them, in `relu4_2` to `relu4_4` of the compact network more than 60 %.
#
# Report 003 also says that the ReLU follows the max pooling. In VGG, it precedes the pooling. For max pooling the order
# makes no difference; for average pooling it does:

# %%
x = maps["conv2_2"]
print("max pooling:    ", torch.equal(F.relu(F.max_pool2d(x, 2)), F.max_pool2d(F.relu(x), 2)))
print("average pooling:", torch.equal(F.relu(F.avg_pool2d(x, 2)), F.avg_pool2d(F.relu(x), 2)))

# %% [markdown]
# **Pooling.** Report 003 says that pooling helps "to fix distorted images". A distortion that we can measure is a
# shift. Does pooling make the activations tolerant to it? That needs a **control**: the same network, with the same
# grid, without pooling. In place of each pooling it takes every second value.


# %%
def shrink(maps):
    """Every second value of every second row: the grid of a pooling without the pooling."""
    return maps[:, :, ::2, ::2]


def run(picture, pool):
    """Return relu1_2 and the outputs of pool2, pool3 and pool4, with ``pool`` in place of max pooling."""
    x, found = (picture - mean) / std, {}
    for name in layer_names("vgg19")[: layer_names("vgg19").index("pool4") + 1]:
        kind = name[:4]
        x = features.convs[name](x) if kind == "conv" else F.relu(x) if kind == "relu" else pool(x)
        if name in ("relu1_2", "pool2", "pool3", "pool4"):
            found[name] = x
    return found


# %% [markdown]
# **Predict.** We shift the photo by four pixels and compare the maps of `pool3` before and after. How similar are they
# in the network *without* pooling?
#
# - `"a"` as similar as with pooling
# - `"b"` a little less similar than with pooling
# - `"c"` as dissimilar as in `relu1_2`, before any pooling

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_control = ...  # "a", "b" or "c"
guess_control = "b"
# END SOLUTION


# %%
def similarity(a, b):
    """The cosine of two sets of maps after subtracting each map's mean: 1 for equal maps."""
    a, b = a - a.mean((2, 3), keepdim=True), b - b.mean((2, 3), keepdim=True)
    return F.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


wide = gallery.content("chelsea", profile.size + 32)
high, broad = wide.shape[2] // 16 * 16, (wide.shape[3] - 32) // 16 * 16
views = {shift: wide[:, :, :high, 8 + shift : 8 + shift + broad] for shift in (0, 1, 2, 3, 4, 6, 8)}
shifted = {}
for kind, pool in (("max pooling", nn.MaxPool2d(2)), ("no pooling", shrink)):
    with torch.no_grad():
        seen = {shift: run(view, pool) for shift, view in views.items()}
    for name in seen[0]:
        shifted[f"{name}, {kind}"] = {shift: similarity(seen[0][name], seen[shift][name]) for shift in seen}

# %%
kept = {"relu1_2": shifted["relu1_2, max pooling"]}
kept |= {name: shifted[name] for name in ("pool3, max pooling", "pool3, no pooling", "pool4, max pooling")}
anatomy.lines(
    kept, "deep maps change less when the photo moves, even without pooling", "similarity", xlabel="shift, px"
)

# %%
check.choice("tolerance without pooling", guess_control)

# %% tags=["test"]
claims.most_tolerance_is_there_without_pooling(shifted)
claims.pooling_adds_tolerance(shifted)
claims.pool4_is_not_more_tolerant_than_pool3(shifted)

# %% [markdown]
# After a shift by four pixels the maps of `relu1_2` have little similarity left, those of `pool3` most of it. Most of
# this tolerance is there without pooling: a step of the grid of `pool3` is eight pixels, and activations with a large
# receptive field change slowly. The pooling adds a smaller part. And with max pooling, up to this shift, `pool4` is
# *not* more tolerant than `pool3`, although it is deeper. (Its block was trained for other pictures, see section 2.) It
# is a tolerance to small shifts and no invariance: after eight pixels every layer has changed.
#
# Gatys replaced max pooling by average pooling for smoother results; lesson 06 compares both.
#
# ## 9 · The network as a classifier
#
# VGG was trained to name what is in a picture. The compact network knows 202 classes and takes pictures of 64 x 64
# pixels; VGG-19 knows a thousand, at 224 x 224. Among the 202 are three kinds of cat and an espresso. There is no
# astronaut among them.
#
# **Predict.** The network must choose one of its 202 classes for the astronaut as well. How probable is its first
# choice, in percent? And in which place will the cat's photo have a cat?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_percent = ...  # a number from 0 to 100
# STUDENT: guess_place = ...  # 1 for the first place, 2 for the second ...
guess_percent = 10
guess_place = 1
# END SOLUTION

# %%
photos = {name: gallery.content(name, 320) for name in ("astronaut", "chelsea", "coffee")}
answers = {name: classify(picture, "compact") for name, picture in photos.items()}
anatomy.show_predictions({name: photos[name] for name in ("astronaut", "chelsea")}, answers)

# %%
check.prediction("first choice for the astronaut", guess_percent, 100 * answers["astronaut"][0][1], "%")

# %%
place = next((i for i, (name, _) in enumerate(answers["chelsea"], 1) if "cat" in name), 6)
check.prediction("place of the cat", guess_place, place)

# %% tags=["test"]
claims.cup_and_cat_are_named(answers)
claims.it_is_surer_of_the_astronaut_than_of_the_cat(answers)

# %% [markdown]
# The network names the espresso and, with less than 15 %, the cat. It gives the astronaut's first class a *larger*
# probability than the cat's. The probabilities add up to one over the classes that it knows, and "none of these" is not
# among them: a large probability is no evidence that the class is right.
#
# The four mistakes of section 4 cost something here, too:

# %%
rows = []
for mistake in ("right", "1 no preprocessing", "2 BGR", "4 no division"):
    rows.append([mistake])
    for name in ("coffee", "chelsea"):
        raw = photos[name]
        prepared = (raw - mean) / std
        given = {"right": prepared, "1 no preprocessing": raw, "2 BGR": prepared.flip(1), "4 no division": raw - mean}
        answer, chance = classify((given[mistake] * std + mean).clamp(0, 1), "compact", top=1)[0]
        rows[-1].append(f"{answer.split(',')[0]} {chance:.0%}")
anatomy.Table(["preprocessing", "coffee", "chelsea"], rows)

# %% tags=["test"]
claims.no_mistake_is_harmless_for_both_photos(rows)

# %% [markdown]
# No mistake is harmless for both photos, but some are for one of them. Test with more than one photo.
#
# The thousand classes of the real VGG-19 need a download of 575 MB. If you want them, set `fetch = True`:

# %%
fetch = False
if fetch:
    thousand = {name: classify(picture, "imagenet") for name, picture in photos.items()}
anatomy.show_predictions(photos, thousand) if fetch else "not downloaded"

# %% [markdown]
# **How good is VGG-19?** Report 002 quotes "23.7% top 1 validation error and 6.8% top 5 validation error". (*Top-5*:
# the right class is not among the first five.) torchvision states with its weights how they do on the same pictures:

# %%
stated = models.VGG19_Weights.IMAGENET1K_V1.meta["_metrics"]["ImageNet-1K"]
top_1, top_5 = 100 - stated["acc@1"], 100 - stated["acc@5"]
ways = {
    "torchvision: one crop from the center": (top_1, top_5),
    "E, table 3: whole picture, trained at one scale": (27.3, 9.0),
    "E, table 3: trained at many scales": (25.5, 8.0),
    "E, table 4: and tested at three scales": (24.8, 7.5),
    "E, table 5: and with many crops": (24.4, 7.1),
    "D and E, tables 6 and 7: mean of two networks": (23.7, 6.8),
}
anatomy.Table(
    ["how it was tested", "top-1 error, %", "top-5 error, %"],
    [[w, f"{a:.1f}", f"{b:.1f}"] for w, (a, b) in ways.items()],
)

# %%
figures.bars(
    {way: error for way, (error, _) in ways.items()},
    unit="%",
    title="top-1 error: the report's number belongs to two networks",
    highlight="D and E, tables 6 and 7: mean of two networks",
)

# %% tags=["test"]
claims.torchvision_states_a_larger_error_than_the_report(top_1, top_5)
claims.each_refinement_lowers_the_error(ways)

# %% [markdown]
# The report's numbers belong to the mean of *two* networks, D and E, asked about many crops at several scales. VGG-19
# alone reaches 24.4 % and 7.1 % in the paper. torchvision's weights, trained anew by others and asked once about one
# crop, have 27.6 % and 9.1 %. An error rate without its test protocol says little.
#
# **Does averaging over crops help?** We ask the compact network about 24 random crops of one photo.
#
# **Predict.** For how many of the 24 crops of the cat is a cat in the first place?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_crops = ...  # a number from 0 to 24
guess_crops = 15
# END SOLUTION

# %%
cat, random, crops = photos["chelsea"], torch.Generator().manual_seed(0), []
for _ in range(24):
    side = int(min(cat.shape[2:]) * (0.6 + 0.4 * torch.rand(1, generator=random).item()))
    y, x = (int(torch.rand(1, generator=random) * (length - side + 1)) for length in cat.shape[2:])
    crops.append(cat[:, :, y : y + side, x : x + side])
each = [dict(classify(crop, "compact", top=202)) for crop in crops]
averaged = {name: sum(chances[name] for chances in each) / len(each) for name in each[0]}
firsts = Counter(max(chances, key=chances.get).split(",")[0] for chances in each)
figures.bars(dict(firsts.most_common(6)), title="first choice for 24 crops of one cat", highlight="Egyptian cat")

# %%
leaders = sorted(averaged, key=averaged.get, reverse=True)[:6]
means = {name.split(",")[0]: 100 * averaged[name] for name in leaders}
figures.bars(means, unit="%", title="mean probability over the 24 crops", highlight="Egyptian cat")

# %%
named_cat = sum(count for name, count in firsts.items() if "cat" in name or "tabby" in name)
check.prediction("crops with a cat in the first place", guess_crops, named_cat, "of 24")

# %% tags=["test"]
claims.few_crops_show_a_cat_but_their_mean_does(named_cat, leaders)

# %% [markdown]
# Fewer than half of the crops have a cat in the first place; the mean of all has one. The wrong answers differ from
# crop to crop and average out, while the cats' probabilities add up. Two networks that were trained separately also
# make different mistakes, so the mean of D and E is better than either.
#
# ## 10 · What the reports found
#
# | what a report says | what we found | section |
# |---|---|---|
# | 000: most parameters come from the first fully connected layer | right: 72 % in VGG-19, 74 % in VGG-16 | 2 |
# | 000: VGG-19 adds three convolutions to VGG-16 | right: conv3_4, conv4_4, conv5_4 | 2 |
# | 000: stacked small kernels are better than a large one | cheaper, and with more ReLUs; not equivalent | 3 |
# | 000: its table of the six configurations | as printed, C, D and E lack two convolutions each | 1 |
# | 000: `conv_4` | is conv2_2, not conv4_2 | 3 |
# | 002: VGG-19 has 23.7 % and 6.8 % error | two networks together; alone 24.4 and 7.1 at best | 9 |
# | 003: ReLU makes the image smooth | it adds frequencies and zeros | 8 |
# | 003: max pooling is followed by ReLU | ReLU comes first; for max pooling the order makes no difference | 8 |
# | 003: pooling fixes distorted images | some tolerance to shifts; most of it is there without pooling | 8 |
# | 003: only the mean is subtracted | in the paper; torchvision's weights need the division, too | 4 |
# | 003: the input is fixed at 224 x 224 | only for the fully connected layers | 2 |
#
# ## What you can do now
#
# - You can read the activations of any layer of any PyTorch model, with their gradients, and leave the model unchanged.
# - You can find out what a channel responds to: by the patches that excite it, and by gradient ascent.
# - You can compute a Gram matrix and interpret its entries.
#
# **Three questions**
#
# 1. Why do you have to copy the output of a convolution in a hook, and why is `output.detach().clone()` wrong here?
# 2. A drawn picture for a channel shows stripes in red and green. Can you conclude that the channel needs both colors?
# 3. Mirror a photo left to right, and mirror each feature map of the original in the same way. Is the Gram matrix of
#    the mirrored *maps* the original one? Is the Gram matrix of the maps *of the mirrored photo*?

# %% [markdown] tags=["solution-only"]
# **Model answers**
#
# 1. The next module may be an in-place ReLU, which writes into the same memory; the dictionary would then hold the
#    ReLU's output under the convolution's name. `detach` cuts the copy off from the graph, so that no gradient would
#    reach the picture.
# 2. No. The ascent draws whatever increases the activation. Draw the picture again in gray (one channel for all three
#    colors), or measure the activation of the same stripes without color and compare.
# 3. The Gram matrix of the mirrored maps is the same, because it does not depend on where two channels are active
#    together. The maps of the mirrored photo are not the mirrored maps: a channel for edges that are light on the left
#    now responds to other edges. So this Gram matrix is another one.

# %% [markdown]
# **Project: an atlas of one layer.** Choose a layer and make a page with eight of its channels: the drawn picture, the
# most exciting patches from photos of your own, and a sentence about what the channel responds to. Test each sentence
# with pictures that you construct for it (for example stripes of different directions, widths and colors).
#
# | | 0 points | 1 point | 2 points |
# |---|---|---|---|
# | pictures and patches | missing, or one of both | both, for fewer than eight channels | both, for eight channels |
# | sentences | name an object of a photo | describe a pattern | describe a pattern and what it does not depend on |
# | tests | none | constructed pictures, looked at | constructed pictures, with activations in a table |
# | failures | not mentioned | mentioned | one channel whose sentence failed the test, with a better one |
#
# **Further reading**
#
# - K. Simonyan, A. Zisserman: [Very Deep Convolutional Networks for Large-Scale Image
#   Recognition](https://arxiv.org/abs/1409.1556), ICLR 2015. Sections 2 and 4; our numbers are from tables 1 to 7.
# - C. Olah, A. Mordvintsev, L. Schubert: [Feature Visualization](https://distill.pub/2017/feature-visualization/),
#   Distill 2017. Activation maximization with better priors, beside dataset examples.
# - M. Zeiler, R. Fergus: [Visualizing and Understanding Convolutional Networks](https://arxiv.org/abs/1311.2901), ECCV
#   2014.
# - W. Luo and others: [Understanding the Effective Receptive Field in Deep Convolutional Neural
#   Networks](https://arxiv.org/abs/1701.04128), NeurIPS 2016.
# - R. Zhang: [Making Convolutional Networks Shift-Invariant Again](https://arxiv.org/abs/1904.11486), ICML 2019. What
#   pooling with a stride does to shifts, and a remedy.
#
# **Previous lesson**: [00 · Start here](00_start_here.ipynb). **Next lesson**: [02 · Content
# reconstruction](02_content_reconstruction.ipynb). You know how to read a layer's activations. How much of the photo
# can be reconstructed from them?
