# %% [markdown] tags=["title"]
# # 01 · VGG anatomy
#
# *Question*: What does the network see that we borrow our eyes from?
#
# *Time*: 60 minutes to read and try; less than two minutes of computing on a laptop without a GPU.
#
# Style transfer compares pictures with the eyes of a network that was built in 2014 to tell dogs from teapots. Before
# we trust these eyes, we take them apart: what each layer costs, how much of the picture it sees, what comes out of
# it, and whether the whole really recognises anything. You need to know what a convolution is. No formula here is
# longer than a line.

# %%
import time
from collections import Counter

import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from nstlib import VGGFeatures, classify, layer_names
from nstlib.course import anatomy, check, figures, profile_for, show
from nstlib.data import gallery
from nstlib.vgg import PREPROCESSING

profile = profile_for("01_vgg_anatomy")
profile

# %% [markdown]
# ## 1 · Six plans
#
# Simonyan and Zisserman asked one question: *what happens if a network only gets deeper?* So they built six that differ
# in little else. Each is five **blocks** of 3x3 convolutions with a pooling behind each that halves the picture, then
# three fully connected layers. Here is their table as data: `"3-64"` is a 3x3 convolution with 64 channels out, `"M"` a
# max pooling, `"LRN"` a normalisation that was in fashion then.

# %%
plans = {
    "A": "3-64 M  3-128 M  3-256 3-256 M  3-512 3-512 M  3-512 3-512 M",
    "A-LRN": "3-64 LRN M  3-128 M  3-256 3-256 M  3-512 3-512 M  3-512 3-512 M",
    "B": "3-64 3-64 M  3-128 3-128 M  3-256 3-256 M  3-512 3-512 M  3-512 3-512 M",
    "D": "3-64 3-64 M  3-128 3-128 M  3-256 3-256 3-256 M  3-512 3-512 3-512 M  3-512 3-512 3-512 M",
    "E": "3-64 3-64 M  3-128 3-128 M  3-256 3-256 3-256 3-256 M  3-512 3-512 3-512 3-512 M  3-512 3-512 3-512 3-512 M",
}

# %% [markdown]
# And this turns a plan into a network. On the **meta device** a tensor has a shape but no numbers, so that we can build
# half a gigabyte of network in no time and without memory. (`models.VGG` adds the three fully connected layers.)


# %%
def build(plan):
    layers, before = [], 3
    for word in plan.split():
        if word == "M":
            layers.append(nn.MaxPool2d(2))
        elif word == "LRN":
            layers.append(nn.LocalResponseNorm(5, k=2.0))
        else:
            kernel, channels = map(int, word.split("-"))
            layers += [nn.Conv2d(before, channels, kernel, padding=kernel // 2), nn.ReLU()]
            before = channels
    return models.VGG(nn.Sequential(*layers), init_weights=False)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


with torch.device("meta"):
    networks = {name: build(plan) for name, plan in plans.items()}
    theirs = {"A": models.vgg11(), "B": models.vgg13(), "D": models.vgg16(), "E": models.vgg19()}
{name: parameters(network) for name, network in networks.items()}

# %% [markdown]
# Four of the six are in torchvision, under the names VGG-11, 13, 16 and 19. Are ours the same? We compare with
# what its weights state of themselves, and with the paper's own table 2 (in millions).

# %% tags=["test"]
entries = {"A": models.VGG11_Weights, "B": models.VGG13_Weights, "D": models.VGG16_Weights, "E": models.VGG19_Weights}
for name, entry in entries.items():
    assert parameters(networks[name]) == parameters(theirs[name]) == entry.IMAGENET1K_V1.meta["num_params"]
for name, millions in {"A": 133, "A-LRN": 133, "B": 133, "D": 138, "E": 144}.items():
    assert round(parameters(networks[name]) / 1e6) == millions
assert parameters(networks["A-LRN"]) == parameters(networks["A"])  # the normalisation has nothing to learn

# %% [markdown]
# **Exercise: how many parameters has a convolution?** Write the formula for a kernel of `kernel` x `kernel`, `before`
# channels in and `after` channels out. Do not forget the bias.


# %% tags=["exercise"]
def conv_parameters(kernel, before, after):
    # SOLUTION
    return kernel * kernel * before * after + after
    # END SOLUTION


# %%
check.number(
    "parameters of a convolution",
    conv_parameters(5, 48, 80),
    parameters(nn.Conv2d(48, 80, 5)),
    tolerance=0,
    hint=[
        "One output channel needs a weight for each number that it sees.",
        "It sees kernel x kernel x before numbers.",
    ],
    why="The size of the picture does not occur: the same weights slide over all of it.",
)

# %% [markdown]
# **Exercise: build configuration C.** It is missing above and in torchvision, too. The paper describes it thus: like D,
# but the *third* convolution of blocks 3, 4 and 5 has a kernel of **1x1** in place of 3x3. A 1x1 convolution sees no
# neighbours: it only mixes the channels of one place, and with its ReLU adds a bend to the function.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: plan_c = ...  # your code here: a text like those of the others
plan_c = "3-64 3-64 M  3-128 3-128 M  3-256 3-256 1-256 M  3-512 3-512 1-512 M  3-512 3-512 1-512 M"
# END SOLUTION

# %%
if isinstance(plan_c, str):
    with torch.device("meta"):
        networks["C"] = build(plan_c)
saved = 8 * (256**2 + 512**2 + 512**2)  # a 1x1 kernel has one weight where a 3x3 has nine
check.number(
    "configuration C",
    parameters(networks["C"]) if "C" in networks else ...,
    parameters(networks["D"]) - saved,
    tolerance=0,
    hint=["Copy D and change three words.", "The words to change stand just before the last three M."],
    why="134 million, as in the paper's table 2. As deep as D, but it sees less of the picture at once.",
)

# %%
places = [i for i, word in enumerate(plan_c.split()) if word.startswith("1-")] if isinstance(plan_c, str) else None
check.number(
    "where C has its 1x1 kernels",
    sum(places) if places else ...,
    sum(i - 1 for i, word in enumerate(plans["D"].split()) if word == "M" and i > 5),
    tolerance=0,
    hint="In each of the last three blocks, the 1x1 kernel is the last convolution before the M.",
    why="Each stands behind two 3x3, and looks at what they found.",
)

# %% [markdown]
# ## 2 · What depth bought
#
# **Guess first**: the paper's table 3 compares the six, all trained and tested alike. From 11 to 19 layers with
# weights, does the error fall all the way?
#
# - `"a"` yes, each deeper one is better
# - `"b"` it falls, and then stops
# - `"c"` there is no pattern

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_depth = ...  # "a", "b" or "c"
guess_depth = "b"
# END SOLUTION

# %%
table_3 = {"A": 29.6, "A-LRN": 29.7, "B": 28.7, "C": 28.1, "D": 27.0, "E": 27.3}  # top-1 error in %, scale 256
anatomy.lines({"": table_3}, "Simonyan and Zisserman, table 3 (trained and tested at scale 256)", "top-1 error, %")

# %%
check.choice(
    "what depth bought",
    guess_depth,
    correct="b",
    explain={
        "a": "look at the last two points: which one is lower?",
        "b": "At this setting E is even a little worse than D. (Trained on many scales, E is ahead by a tenth.)",
        "c": "apart from the normalisation, which is no layer with weights, it falls from A to D.",
    },
)

# %% [markdown]
# Two more answers are in this curve. The normalisation did not help (A-LRN), so the authors dropped it. And **C is
# better than B, but worse than D**: more ReLUs help, but seeing neighbours helps more. Report 000 lists "deepening the
# network" as VGG's merit, and that is right, up to about here: without shortcuts as in a ResNet, deeper plain networks
# got worse.
#
# ## 3 · VGG-16 beside VGG-19, layer by layer
#
# We let one empty picture run through and look at each layer as it passes. A **forward hook** is a function that
# PyTorch calls after each layer with what went in and what came out. Nothing in the table below is typed in.


# %%
def survey(network, size=224):
    """For each layer: its name, the shape behind it, its parameters, its multiplications (each with an addition)."""
    found, block, number = {}, 1, 0

    def look(layer, inputs, output):
        nonlocal block, number
        if isinstance(layer, nn.MaxPool2d):
            name, work = f"pool{block}", 0
            block, number = block + 1, 0
        elif isinstance(layer, nn.Conv2d):
            number += 1
            name = f"conv{block}_{number}"
            work = output.numel() * layer.in_channels * layer.kernel_size[0] ** 2
        else:
            name, work = f"fc{6 + sum(n.startswith('fc') for n in found)}", output.numel() * layer.in_features
        found[name] = {"shape": tuple(output.shape[1:]), "parameters": parameters(layer), "work": work}

    kinds = (nn.Conv2d, nn.MaxPool2d, nn.Linear)
    hooks = [m.register_forward_hook(look) for m in network.modules() if isinstance(m, kinds)]
    network.eval()(torch.empty(1, 3, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    return found


sixteen, nineteen = survey(networks["D"]), survey(networks["E"])

# %% [markdown]
# One column is still missing. The **receptive field** of a layer is the part of the picture that one of its numbers
# depends on. We *measure* it: a copy of the network with one channel and all weights 1, the gradient of the number in
# the middle, and then we count for how many pixels it is not zero.


# %%
def measured_field(features, size=320):
    """The receptive field of each convolution and pooling, in pixels."""
    x = picture = torch.zeros(1, 1, size, size, requires_grad=True)
    fields = []
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            kernel = layer.kernel_size[0]
            x = F.conv2d(x, torch.ones(1, 1, kernel, kernel), padding=kernel // 2)
        elif isinstance(layer, nn.MaxPool2d):
            x = F.avg_pool2d(x, 2)  # the gradient of a maximum would only show the winner
        else:
            continue
        middle = x.shape[-1] // 2
        (gradient,) = torch.autograd.grad(x[0, 0, middle, middle], picture, retain_graph=True)
        fields.append(int((gradient[0, 0] != 0).any(0).sum()))
    return fields


for rows, name in ((sixteen, "D"), (nineteen, "E")):
    for row, field in zip(rows.values(), measured_field(networks[name].features)):
        row["field"] = field

# %%
heads = ["layer", "shape behind it", "parameters", "multiply-adds (millions)", "sees in VGG-16", "sees in VGG-19"]
lines = []
for name, row in nineteen.items():
    shape = " x ".join(map(str, row["shape"]))
    sees = [f"{r[name]['field']} px" if "field" in r.get(name, {}) else "all" for r in (sixteen, nineteen)]
    sees[0] = sees[0] if name in sixteen else "not there"
    lines.append([name, shape, row["parameters"], round(row["work"] / 1e6), *sees])
totals = [sum(row[what] for row in nineteen.values()) for what in ("parameters", "work")]
anatomy.Table(heads, [*lines, ["VGG-19", "", totals[0], round(totals[1] / 1e6), "", ""]])

# %% [markdown]
# VGG-19 is VGG-16 with one more convolution in each of the blocks 3, 4 and 5. Read the columns downwards: each pooling
# divides both sides by two and the next block doubles the channels (until 512). And a number of conv5_4 sees 252
# pixels, more than the picture of 224 has.
#
# torchvision counts, too. Its `_ops` are called GFLOPs, but are multiply-adds, as ours.

# %% tags=["test"]
for rows, entry in ((sixteen, models.VGG16_Weights), (nineteen, models.VGG19_Weights)):
    stated = entry.IMAGENET1K_V1.meta
    assert sum(row["parameters"] for row in rows.values()) == stated["num_params"]
    assert abs(sum(row["work"] for row in rows.values()) / 1e9 - stated["_ops"]) < 0.001
assert [nineteen[n]["field"] for n in ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")] == [3, 10, 24, 68, 156]
assert [n for n in nineteen if n not in sixteen] == ["conv3_4", "conv4_4", "conv5_4"]

# %% [markdown]
# **Exercise: the receptive field, without measuring.** `layers` is a list of pairs (kernel, stride) in their order.
# Walk through it with two numbers: `field`, the pixels seen so far, and `jump`, the distance in the *picture* between
# two neighbours here. At the start both are 1. What does a layer add to the field? What does it do to the jump?


# %% tags=["exercise"]
def receptive_field(layers):
    # SOLUTION
    field = jump = 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field
    # END SOLUTION


# %%
conv, pool = (3, 1), (2, 2)
to_conv4_2 = [conv, conv, pool, conv, conv, pool, conv, conv, conv, conv, pool, conv, conv]
check.number(
    "receptive field",
    receptive_field(to_conv4_2),
    nineteen["conv4_2"]["field"],
    tolerance=0,
    hint=[
        "Two 3x3 convolutions see 5 pixels, three see 7: each adds two, as long as nothing was pooled.",
        "After a pooling, neighbours are two pixels apart, and the same kernel reaches twice as far.",
        "First add (kernel - 1) times the jump to the field; only then multiply the jump by the stride.",
    ],
    why="That is the layer that Gatys takes for the content: each of its numbers has seen a region, not a pixel.",
)

# %% [markdown]
# But does a number really use *all* that it may see? The same measurement with the real weights and a photo: how
# much does the middle of each layer change when a pixel changes? The frame is the receptive field from the table.

# %%
features = VGGFeatures(precision="float32")
eyes = VGGFeatures(precision="float32", pooling="avg", fast=False)  # fast ones leave rounding errors outside the frame
square = gallery.content("chelsea", 480)[:, :, 10:298, 96:384].clone().requires_grad_()
seen, layers = {}, ["relu2_2", "relu3_4", "relu4_4", "relu5_4"]
for name, maps in eyes(square, layers).items():
    row, column = maps.shape[2] // 2, maps.shape[3] // 2
    (gradient,) = torch.autograd.grad(maps[0, :, row, column].sum(), square, retain_graph=True)
    seen[name] = gradient[0].abs().sum(0)

figure, axes = anatomy.panels(5, 10, 2.4)
axes[0].imshow(square[0].detach().permute(1, 2, 0))
axes[0].set_title("the photo")
for ax, (name, gradient) in zip(axes[1:], seen.items()):
    ax.imshow(gradient**0.5, cmap="magma")  # the root, so that faint influence shows
    size = nineteen[name.replace("relu", "conv")]["field"]
    middle = 144 + 2 ** (int(name[4]) - 2)
    ax.add_patch(figures.frame_rectangle(size, size))
    ax.patches[0].set(xy=(middle - size / 2, middle - size / 2), linewidth=1.5)
    ax.set_title(f"{name}: {size} px")
for ax in axes:
    ax.axis("off")
figure

# %% tags=["test"]
for name, gradient in seen.items():
    field = nineteen[name.replace("relu", "conv")]["field"]
    assert (gradient > 0).any(0).sum() <= field  # nothing outside
    quarter = field // 4
    inner = gradient[144 - quarter : 145 + quarter, 144 - quarter : 145 + quarter].sum()
    assert name == "relu2_2" or inner > 0.4 * gradient.sum(), (name, inner / gradient.sum())

# %% [markdown]
# Most of the influence comes from the middle (Luo and others, 2016, call it the *effective* receptive field). The
# reason is counting: many paths lead from a pixel in the middle to the output, and only one from a pixel in the corner.
#
# ## 4 · Two small kernels against a large one
#
# Why 3x3 everywhere, when AlexNet, the winner of 2012, began with 11x11? Compare one 5x5 convolution with two 3x3 in a
# row. How far does each see? The measurement again, with all weights 1:

# %%
patch = torch.zeros(1, 1, 9, 9, requires_grad=True)


def influence(*kernels):
    x = patch
    for k in kernels:
        x = F.conv2d(x, torch.ones(1, 1, k, k), padding=k // 2)
    return torch.autograd.grad(x[0, 0, 4, 4], patch)[0][0, 0]


reach = {"one 3x3": influence(3), "one 5x5": influence(5), "two 3x3": influence(3, 3), "three 3x3": influence(3, 3, 3)}
figure, axes = anatomy.panels(4, 9, 2.5)
for ax, (name, values) in zip(axes, reach.items()):
    ax.imshow(values, cmap="Blues", vmax=1.6 * values.max())
    for (i, j), v in [((i, j), int(values[i, j])) for i in range(9) for j in range(9)]:
        ax.text(j, i, v or "", ha="center", va="center", fontsize=7)
    ax.set_title(f"{name}: sees {(values > 0).any(0).sum()} x {(values > 0).any(1).sum()}")
    ax.axis("off")
figure

# %% [markdown]
# Two 3x3 see exactly as much as one 5x5. (The numbers count the paths from a pixel to the output: there is the
# bell again.) Now the price, with 256 channels in and out:

# %%
channels = 256
price = {"one large kernel": {}, "a stack of 3x3": {}}
for see in (3, 5, 7, 9, 11):
    price["one large kernel"][f"sees {see}"] = parameters(nn.Conv2d(channels, channels, see)) / 1e6
    price["a stack of 3x3"][f"sees {see}"] = (see - 1) // 2 * parameters(nn.Conv2d(channels, channels, 3)) / 1e6
anatomy.lines(price, "parameters for the same receptive field, 256 channels", "millions")

# %% tags=["test"]
assert torch.equal(reach["one 5x5"] > 0, reach["two 3x3"] > 0)
assert 0.71 < price["a stack of 3x3"]["sees 5"] / price["one large kernel"]["sees 5"] < 0.73  # 18 against 25
assert 0.54 < price["a stack of 3x3"]["sees 7"] / price["one large kernel"]["sees 7"] < 0.56  # 27 against 49

# %% [markdown]
# 18 weights in place of 25, 27 in place of 49, and a ReLU more with each. Report 000 says it well: "the stacked smaller
# convolution kernel is better than the larger kernel". Better does not mean *the same*, though: two 3x3 without a
# ReLU between them can make only some of all 5x5 kernels. What the stack has more is the bend between them.
#
# ## 5 · Where the parameters sit
#
# **Guess first**: which layer of VGG-19 has most parameters, and which needs most multiplications?
#
# - `"a"` the first convolution has most of both, for it sees the whole picture
# - `"b"` most parameters in a fully connected layer, most multiplications in the convolutions
# - `"c"` the last convolution has most of both, for it has most channels

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_where = ...  # "a", "b" or "c"
guess_where = "b"
# END SOLUTION

# %%
weighty = [name for name in nineteen if not name.startswith("pool")]
figure, (left, right) = anatomy.panels(2, 9, 4.2)
for ax, what, unit, title in (
    (left, "parameters", 1e6, "parameters, millions"),
    (right, "work", 1e9, "multiply-adds, billions"),
):
    values = [nineteen[name][what] / unit for name in weighty]
    kinds = [figures.COLOURS[1] if name.startswith("fc") else figures.COLOURS[0] for name in weighty]
    ax.barh(weighty, values, color=kinds, height=0.7)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0, labelsize=8.5)
    ax.set_title(title, loc="left")
best = max(weighty, key=lambda name: nineteen[name]["parameters"])
left.annotate(
    f"{nineteen[best]['parameters'] / totals[0]:.0%} of all", (60, weighty.index(best) - 0.9), color="#d1603d"
)
figure

# %%
check.choice(
    "where the parameters sit",
    guess_where,
    correct="b",
    explain={
        "a": "look at the first bar on the left: hardly to be seen.",
        "b": "fc6 alone has 25,088 x 4,096 weights, each used once. A convolution uses each weight at every place.",
        "c": "the figure shows something else: look at the orange bars.",
    },
)

# %% tags=["test"]
assert best == "fc6"
assert nineteen["fc6"]["parameters"] == 512 * 7 * 7 * 4096 + 4096
assert 0.71 < nineteen["fc6"]["parameters"] / totals[0] < 0.72
assert 0.74 < sixteen["fc6"]["parameters"] / sum(row["parameters"] for row in sixteen.values()) < 0.75
assert sum(nineteen[n]["work"] for n in weighty if n.startswith("conv")) > 0.99 * totals[1]

# %% [markdown]
# So report 000 is right: most parameters come from the first fully connected layer. And the point for us is that
# **style transfer throws it away**. How much is left?
#
# **Exercise.** Gatys' method needs VGG-19 up to and including `conv5_1`. What share of all parameters is that, in
# percent? `nineteen[name]["parameters"]` is there, and the names are in their order.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: share = ...  # your code here
names = list(nineteen)
used = names[: names.index("conv5_1") + 1]
share = 100 * sum(nineteen[name]["parameters"] for name in used) / totals[0]
# END SOLUTION

# %%
expected = 0
for name, row in nineteen.items():
    if name[:5] != "conv5" or name == "conv5_1":
        expected += 100 * row["parameters"] / totals[0] if name[:2] != "fc" else 0
check.number(
    "the share that style transfer uses",
    share,
    expected,
    tolerance=0.1,
    hint=[
        "list(nineteen) gives the names; cut the list behind conv5_1.",
        "Times 100, for percent; totals[0] is the whole.",
    ],
    why="A network for style transfer need not be large. Nor need its picture be 224 x 224: only fc6 wants that.",
)

# %% [markdown]
# Unless you work at the profile `gpu`, the network that runs in this course is the **compact VGG-19** that comes with the
# package: the same sixteen convolutions, but thin. Its channels in the five blocks, beside those of the original:

# %%
blocks = [f"relu{b}_1" for b in range(1, 6)]
rows = [[f"block {n[4]}", nineteen[n.replace("relu", "conv")]["shape"][0], features.channels(n)] for n in blocks]
rows.append(["parameters", sum(row["parameters"] for name, row in nineteen.items() if name.startswith("conv"))])
rows[-1].append(parameters(features))
anatomy.Table(["convolutions only", "VGG-19", f"here: {features.weights_name}"], rows)

# %% [markdown]
# ## 6 · Preprocessing, and what happens when you forget it
#
# A network expects numbers as it met them in training. For torchvision's weights (and the compact ones) that is RGB in
# [0, 1], then for each colour $(x - \text{mean}) / \text{std}$, with the mean and the standard deviation of ImageNet's
# photos.

# %%
factor, mean, std = PREPROCESSING["imagenet"]
mean, std = torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)
photo = gallery.content("chelsea", profile.size)
ready = (photo - mean) / std
print("photo:", [f"{v:.2f}" for v in photo.mean((0, 2, 3))], " ready:", [f"{v:.2f}" for v in ready.mean((0, 2, 3))])

# %% [markdown]
# **Guess first.** Four classic mistakes: (1) forgotten altogether, (2) red and blue swapped, for OpenCV reads BGR and
# so did the original weights; (3) pixels in [0, 255] in place of [0, 1]; (4) the mean subtracted, the division
# forgotten. Which of them disturbs the network most? Write a number from 1 to 4.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_mistake = ...  # "1", "2", "3" or "4"
guess_mistake = "3"
# END SOLUTION

# %% [markdown]
# Our extractor does it all by itself, so we must trick it: we hand over the picture that *becomes* the wrong one. The
# number is how far the feature maps are from the right ones, relative to their size: 0 is no harm, 1 is all lost.

# %%
wrong = {
    "1 forgotten": photo,
    "2 BGR": ready.flip(1),
    "3 [0, 255]": (255 * photo - mean) / std,
    "4 no division": photo - mean,
}
looked_at = [f"relu{b}_1" for b in range(1, 6)]
right_maps = features(photo, looked_at)
harm = {}
for name, network_sees in wrong.items():
    maps = dict(features.iter_features(network_sees * std + mean, looked_at))  # does not check the range of pixels
    harm[name] = {n: ((maps[n] - right_maps[n]).norm() / right_maps[n].norm()).item() for n in looked_at}
anatomy.lines(harm, "distance from the right feature maps", "relative", log=True)

# %% [markdown]
# And to look at, one map of relu3_1 behind each mistake, each with colours of its own. Would you have noticed?

# %%
number = anatomy.top_channels(right_maps["relu3_1"], 1)[0]
views = {"right": right_maps["relu3_1"]}
views |= {
    name: dict(features.iter_features(network_sees * std + mean, "relu3_1"))["relu3_1"]
    for name, network_sees in wrong.items()
}
show({name: anatomy.heatmap(view[0, number], 180) for name, view in views.items()}, width=9)

# %%
check.choice(
    "the worst mistake",
    guess_mistake,
    correct="3",
    explain={
        "1": "it hurts, but find the line that lies highest.",
        "2": "the shapes are still right; find the line that lies highest.",
        "3": "Hundreds of times too bright, and a ReLU network passes that on: double in, about double out.",
        "4": "the network sees a pale picture; find the line that lies highest.",
    },
)

# %% tags=["test"]
for layer in looked_at:
    assert max(harm, key=lambda name: harm[name][layer]) == "3 [0, 255]"
    assert min(h[layer] for h in harm.values()) > 0.02
    assert harm["1 forgotten"][layer] > 0.1

# %% [markdown]
# ### What went wrong, and why
#
# No line of code complained, and the maps look as they should: what is off is their *size* and the balance between
# them. The result of a style transfer with such a mistake even looks like something, for *both* pictures go through the
# same wrong door. That is why this bug lives long: in the failure lab (lesson 09) you will hunt it.
#
# Report 003 writes that "the only preprocessing" is to subtract the mean. True for the paper; not for the weights that
# everybody downloads: torchvision's also want the division. One line shows it:

# %%
models.VGG19_Weights.IMAGENET1K_V1.transforms()

# %% [markdown]
# ## 7 · What each layer sees
#
# One forward pass gives every layer's feature maps. From each of the sixteen convolutions we take the map in which most
# happens, behind its ReLU. Dark is zero, bright is much.

# %%
with torch.no_grad():
    maps = features(photo, features.available)
relus = [name for name in features.available if name.startswith("relu")]
tiles = {name: anatomy.heatmap(maps[name][0, anatomy.top_channels(maps[name], 1)[0]], 200) for name in relus}
show({"the photo": photo, **tiles}, columns=6, width=8.2)

# %% [markdown]
# And several maps of the same layer: each looks for something else.

# %%
several = {}
for name in ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4"):
    for number in anatomy.top_channels(maps[name], 5):
        several[f"{name} · {number}"] = anatomy.heatmap(maps[name][0, number], 150)
show(several, columns=5, width=6.8)

# %% [markdown]
# The early layers are drawings: edges in one direction, one colour, light against dark. In blocks 3 and 4 the maps
# become spots at certain *parts*: look for the map that has found the two eyes and nothing else. At the end there are a
# few squares: "something of this kind is about here". **Detail goes, meaning comes.** Lesson 02 asks how much of the
# photo could still be drawn from each.
#
# Some maps light up along the rim only. That is the padding: the zeros around the picture are an edge like any other,
# and a network uses it to know where the picture ends. (Our choice of maps leaves the rim out of account.)
#
# Now look for yourself. All is computed; the sliders only draw. (`map 1` is the one in which most happens.)

# %%
browser = anatomy.Browser(maps)
browser

# %% tags=["test"]
files, seconds = [], []
for layer, place in [(name, place) for name in ("conv1_1", "relu3_1", "pool5") for place in (1, 2, 5)]:
    begin = time.perf_counter()
    files.append(browser.select(layer, place))
    seconds.append(time.perf_counter() - begin)
assert sorted(seconds)[4] < 0.1, seconds  # the median: a busy machine may stumble once
assert len(set(files)) == len(files)

# %% [markdown]
# **Question without a check.** Find a map that answers to the eyes of the cat, and one that answers to the background.
# At which layer does "eye" appear? Then put a photo of your own in place of `photo` and see whether they mean the same.
#
# ## 8 · What a ReLU does
#
# `relu(x)` is `max(x, 0)`: what is negative becomes zero. Report 003 explains it thus: ReLU is there "to make the image
# smooth and make boundaries distinct". Is it smooth?

# %%
before, after = maps["conv3_1"], maps["relu3_1"]
low, high = (torch.quantile(before.flatten()[:1_000_000], q).item() for q in (0.01, 0.995))
figure, axes = anatomy.panels(3, 9.5, 2.7)
axes[0].hist(before.flatten().numpy(), 60, range=(low, high), color=figures.COLOURS[0])
axes[0].set_title("conv3_1: before the ReLU")
axes[1].hist(after.flatten().numpy(), 30, range=(0, high), color=figures.COLOURS[1])
axes[1].set_xlim(axes[0].get_xlim())
axes[1].set_title("relu3_1: behind it")
x = torch.linspace(0, 4 * torch.pi, 512)
wave = torch.sin(x)
axes[2].plot(x, wave, color="#b9c8d6", label="sin x")
axes[2].plot(x, F.relu(wave), color=figures.COLOURS[1], label="relu(sin x)")
axes[2].set_title("a smooth wave gets corners")
axes[2].set_ylim(-1.1, 1.6)
axes[2].legend(loc="upper right", frameon=False, ncols=2)
for ax in axes[:2]:
    ax.set_yticks([])
figure

# %%
pictures = {}
for number in anatomy.top_channels(after, 3):
    top = before[0, number].abs().quantile(0.995).item()
    pictures[f"conv3_1 · {number}"] = anatomy.heatmap(before[0, number], 170, signed=True, vmax=top)
    pictures[f"relu3_1 · {number}"] = anatomy.heatmap(after[0, number], 170, signed=True, vmax=top)
show(pictures, columns=6, width=9, caption="blue is negative, red positive; behind the ReLU the blue is gone")

# %% [markdown]
# Not smooth at all: a line of code settles it. A sine is one single frequency; behind the ReLU there are many, and high
# frequencies are the opposite of smooth.

# %%
spectrum = torch.fft.rfft(F.relu(torch.sin(torch.arange(512) * 2 * torch.pi * 8 / 512))).abs()
print("frequencies in sin:        [8]")
print("frequencies in relu(sin): ", (spectrum > 1e-2 * spectrum.max()).nonzero().flatten().tolist())

# %% [markdown]
# What it is for: **without it all layers would be one.** Two convolutions in a row are again a convolution, sixteen
# too; the bend at zero is what makes depth worth anything. And it makes maps sparse. How many numbers are exactly zero?

# %%
zeros = {name: 100 * (maps[name] == 0).float().mean().item() for name in relus}
anatomy.lines({"zeros": zeros}, "numbers that are exactly zero behind each ReLU", "%")

# %% tags=["test"]
found = (spectrum > 1e-2 * spectrum.max()).nonzero().flatten().tolist()
assert found[:3] == [0, 8, 16]
assert len(found) > 5
assert torch.equal(after, before.clamp(min=0))
a, b = torch.randn(1, 1, 3, 3, dtype=torch.double), torch.randn(1, 1, 3, 3, dtype=torch.double)
signal = torch.randn(1, 1, 12, 12, dtype=torch.double)
both = F.conv2d(a.flip(2, 3), b, padding=2).flip(2, 3)  # two 3x3 become one 5x5
assert torch.allclose(F.conv2d(F.conv2d(signal, a), b), F.conv2d(signal, both))

# %% [markdown]
# A zero is an answer, too: *what I look for is not here*. No feature map says "rather the opposite".
#
# ## 9 · What a pooling does
#
# Max pooling takes the largest of four neighbours. Report 003: "Pooling: to help fix distorted images". Does it fix
# anything? We move the photo to the right, pixel by pixel, and compare what comes out with what came out before.

# %%
number = anatomy.top_channels(maps["relu2_2"], 1)[0]
fine = maps["relu2_2"][:, number : number + 1]
top = fine.quantile(0.995).item()
pooled = {
    "relu2_2": fine,
    "largest of four (max)": F.max_pool2d(fine, 2),
    "mean of four (average)": F.avg_pool2d(fine, 2),
    "every second, no pooling": fine[:, :, ::2, ::2],
}
show({name: anatomy.heatmap(m[0, 0], 240, vmax=top) for name, m in pooled.items()}, columns=4, width=8.4)

# %%
wide = gallery.content("chelsea", profile.size + 32)
views = [wide[:, :, :, 16 + d : wide.shape[3] - 16 + d] for d in range(9)]
ends = ["relu1_2", "pool2", "pool3", "pool4"]
with torch.no_grad():
    seen_from = [features(view, ends) for view in views]


def alike(a, b):
    """The cosine between two sets of maps, without their mean: 1 is the same, 0 is nothing in common."""
    a, b = a - a.mean((2, 3), keepdim=True), b - b.mean((2, 3), keepdim=True)
    return F.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


moved = {name: {d: alike(seen_from[0][name], seen_from[d][name]) for d in range(9)} for name in ends}
anatomy.lines(moved, "how alike the maps are when the photo moves by so many pixels", "1 = the same")

# %% tags=["test"]
assert moved["pool4"][2] > moved["relu1_2"][2]
assert moved["pool4"][8] < 0.98  # it is not invariant either
assert F.max_pool2d(fine, 2).mean() > fine.mean()
assert torch.allclose(
    F.avg_pool2d(fine, 2).mean(), fine[:, :, : fine.shape[2] // 2 * 2, : fine.shape[3] // 2 * 2].mean()
)

# %% [markdown]
# (A part of this is not the pooling's merit: on a coarse grid, eight pixels are only half a step.)
#
# It fixes nothing, it **forgets**: which of the four it was is gone. For that, the deep maps care less about a shift of
# a few pixels, but they do change: it is tolerance, not invariance.
#
# Max pooling keeps the strong answers and makes the whole brighter; average pooling keeps the mean and makes it softer.
# Gatys preferred the average for painting (why, and what can explode: lesson 06).
#
# Report 003 also says that the ReLU follows *after* the max pooling. In VGG it stands behind every convolution, before
# the pooling. For max pooling the order happens to make no difference. With average pooling it does:

# %%
x = maps["conv2_2"]
print("max: ", torch.equal(F.relu(F.max_pool2d(x, 2)), F.max_pool2d(F.relu(x), 2)))
print("mean:", torch.equal(F.relu(F.avg_pool2d(x, 2)), F.avg_pool2d(F.relu(x), 2)))
print("ReLUs in VGG-19:", Counter(type(m).__name__ for m in theirs["E"].modules())["ReLU"])

# %% tags=["test"]
assert torch.equal(F.relu(F.max_pool2d(x, 2)), F.max_pool2d(F.relu(x), 2))
assert not torch.equal(F.relu(F.avg_pool2d(x, 2)), F.avg_pool2d(F.relu(x), 2))
assert Counter(type(m).__name__ for m in theirs["E"].modules())["ReLU"] == 16 + 2

# %% [markdown]
# ## 10 · What the network says about a photo
#
# All this was learned for one purpose: to name what is in a picture. `classify` asks for the answer. The compact
# network knows 202 classes and looks at the picture at 64 x 64 pixels; the large one knows a thousand, at 224 x 224.
#
# **Guess first**, and write it down: for which of these photos will it be right? (Among its 202 classes are three kinds
# of cat and an espresso. There is no astronaut and no rocket.)

# %%
photos = {name: gallery.content(name, 320) for name in gallery.content_names()[: 2 * profile.images]}
said = {name: classify(picture, "compact") for name, picture in photos.items()}
anatomy.show_predictions(photos, said)

# %% [markdown]
# Not bad for a network with about a hundredth of the parameters, and for a picture hardly larger than an icon: the
# compact one finds a cat and the espresso. And where it has no word, it must still choose, for "none of these" is not
# one of its classes. Read it as *what is nearest of what I know*: something round and orange, something tall against
# the sky. The probabilities add up to one whether it knows or not.
#
# Here is also the bill for section 6: two of the photos, wrongly prepared. What is the first answer now?

# %%
rows = []
for wrongly in ("right", "1 forgotten", "2 BGR", "4 no division"):
    rows.append([wrongly])
    for name in ("coffee", "chelsea"):
        raw = photos[name]
        prepared = (raw - mean) / std
        sees = {"right": prepared, "1 forgotten": raw, "2 BGR": prepared.flip(1), "4 no division": raw - mean}
        answer, chance = classify((sees[wrongly] * std + mean).clamp(0, 1), "compact", top=1)[0]
        rows[-1] += [answer.split(",")[0], f"{chance:.0%}"]
anatomy.Table(["preprocessing", "coffee", "", "chelsea", ""], rows)

# %% [markdown]
# The cup stays an espresso when all is forgotten, but is a CD player once its brown is blue. The cat survives the
# swapped colours, and becomes a banana or a bathtub when the preprocessing is forgotten. **One photo that still works
# proves nothing**: had you tested with the cup alone, you would have kept the bug.
#
# The thousand classes of ImageNet need a download of 575 MB, once. Change the line if you want them:

# %%
fetch = features.weights_name == "imagenet"  # True fetches VGG-19 from torchvision's server, once
if fetch:
    thousand = anatomy.show_predictions(
        photos, {name: classify(picture, "imagenet") for name, picture in photos.items()}
    )
else:
    thousand = "not fetched: 202 classes will do for now"
thousand

# %% tags=["test"]
assert "espresso" in said["coffee"][0][0]
assert any("cat" in name or "tabby" in name for name, _ in said["chelsea"])
assert len({row[1] for row in rows}) > 1  # a mistake changes what it says of the cup
for answer in said.values():
    chances = [chance for _, chance in answer]
    assert len(answer) == 5
    assert chances == sorted(chances, reverse=True)
    assert 0 < sum(chances) <= 1.0001

# %% [markdown]
# ## 11 · What the reports found
#
# **Report 002**: VGG-19's "performance on ILSVRC-2012 dataset was remarkably well, with 23.7% top 1 validation error
# and 6.8% top 5 validation error". What does torchvision say of the very weights that everybody downloads? (*Top-5*:
# wrong only if the right name is not among its five best.)

# %%
stated = models.VGG19_Weights.IMAGENET1K_V1.meta["_metrics"]["ImageNet-1K"]
top_1, top_5 = 100 - stated["acc@1"], 100 - stated["acc@5"]
print(f"torchvision's VGG-19: top-1 error {top_1:.1f} %, top-5 error {top_5:.1f} %")

# %% [markdown]
# A sixth more errors by the first measure, a third more by the second. Who is wrong? Nobody; but the two numbers have
# different owners. The paper has several for E, one for each way of asking:

# %%
ways = {
    "torchvision: one crop from the centre": (top_1, top_5),
    "table 3: dense, trained at one scale": (27.3, 9.0),
    "table 3: trained at many scales": (25.5, 8.0),
    "table 4: and tested at three scales": (24.8, 7.5),
    "table 5: and many crops": (24.4, 7.1),
    "tables 6, 7: D and E together": (23.7, 6.8),
}
figure, (left, right) = anatomy.panels(2, 10, 2.8, sharey=True)
for ax, k, title in ((left, 0, "top-1 error, %"), (right, 1, "top-5 error, %")):
    values = [pair[k] for pair in ways.values()]
    ax.barh(
        list(ways), values, color=[figures.COLOURS[5]] + 4 * [figures.COLOURS[0]] + [figures.COLOURS[1]], height=0.66
    )
    for i, value in enumerate(values):
        ax.annotate(f"{value:.1f}", (value, i), (4, 0), textcoords="offset points", va="center")
    ax.set_title(title, loc="left")
    ax.set_xlim(0, max(values) * 1.12)
    ax.set_xticks([])
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines["bottom"].set_visible(False)
left.invert_yaxis()
figure

# %% tags=["test"]
assert abs(top_1 - 27.624) < 0.01
assert abs(top_5 - 9.124) < 0.01
assert list(ways.values()) == sorted(ways.values(), reverse=True)

# %% [markdown]
# Step by step from above: ask about one crop; slide the network over the whole picture and average (*dense*); train on
# pictures of many sizes; test at three sizes; add the crops; and, last, let **two networks** vote. **23.7 % and 6.8 %
# belong to D and E together** (the paper's tables 6 and 7), not to VGG-19. Alone it reaches 24.4 % and 7.1 %, and
# torchvision's weights (trained anew, by others), asked once, 27.6 % and 9.1 %. *Whenever you quote an error, quote how
# it was asked.*
#
# Why averaging helps you can see with our small network: ask it about many crops of one photo. Each dot is one answer.

# %%
photo_asked = "coffee"
asked = photos.get(photo_asked, photo)
crops, generator = [], torch.Generator().manual_seed(0)
for _ in range(profile.steps):
    side = int(min(asked.shape[2:]) * (0.6 + 0.4 * torch.rand(1, generator=generator).item()))
    y, x = (int(torch.rand(1, generator=generator) * (s - side + 1)) for s in asked.shape[2:])
    crops.append(asked[:, :, y : y + side, x : x + side])
everything = [dict(classify(crop, "compact", top=202)) for crop in crops]
mean_chance = {name: sum(e[name] for e in everything) / len(everything) for name in everything[0]}
leaders = sorted(mean_chance, key=mean_chance.get, reverse=True)[:6]
figure, (ax,) = anatomy.panels(1, 8, 2.8)
for i, name in enumerate(leaders):
    spots = [e[name] for e in everything]
    ax.plot(spots, [i] * len(spots), "o", color=figures.COLOURS[0], alpha=0.35, ms=5)
    ax.plot(mean_chance[name], i, "D", color=figures.COLOURS[1], ms=8, label="mean of all crops" if i == 0 else None)
ax.set_yticks(range(len(leaders)), [name.split(",")[0] for name in leaders])
ax.invert_yaxis()
ax.set_xlabel("probability")
firsts = len({max(e, key=e.get) for e in everything})
ax.set_title(f"{photo_asked}, {len(crops)} crops; different names in first place: {firsts}", loc="left")
ax.legend(loc="lower right", frameon=False)
figure

# %% [markdown]
# It is the same cup in every crop, and the answers scatter all the same. One crop may be lucky or unlucky; the mean of
# many is neither. Networks that were trained apart err apart, too, and so a second network helps as a second crop does.

# %% tags=["test"]
assert len(everything) == len(crops)
assert max(mean_chance.values()) <= max(max(e.values()) for e in everything)

# %% [markdown]
# **Report 000** prints the paper's table of the six plans. As the text has come down to us, its columns C, D and E have
# only *one* convolution in each of the first two blocks. (The figure may have been right and the text cut; we have only
# the text.) The heads of the columns say 16, 16 and 19 layers with weights. Count:

# %%
printed = {"C": (1, 1, 3, 3, 3), "D": (1, 1, 3, 3, 3), "E": (1, 1, 4, 4, 4)}  # convolutions in each block, as printed
print({name: sum(blocks) + 3 for name, blocks in printed.items()}, "in place of 16, 16 and 19")

# %% [markdown]
# The same report prints its own network with layers called `conv_1` to `conv_5`, counted in sequence, and takes
# `conv_4` for the content. Gatys' content layer is `conv4_2`. Is `conv_4` in block 4?

# %%
in_sequence = [name for name in layer_names("vgg19") if name.startswith("conv")]
print({f"conv_{i + 1}": name for i, name in enumerate(in_sequence[:5])})
print(f"conv_4 sees {nineteen[in_sequence[3]]['field']} pixels, conv4_2 sees {nineteen['conv4_2']['field']}")

# %% tags=["test"]
assert {name: sum(blocks) + 3 for name, blocks in printed.items()} == {"C": 14, "D": 14, "E": 17}
assert in_sequence[3] == "conv2_2"
assert in_sequence[4] == "conv3_1"
assert (nineteen["conv2_2"]["field"], nineteen["conv4_2"]["field"]) == (14, 84)

# %% [markdown]
# No: it is `conv2_2`, in block 2, and sees a sixth as far. Both are good choices (lesson 06 compares them), but they
# are not the same.
#
# | what a report says | what we found | where |
# |---|---|---|
# | 000: most parameters come from the first fully connected layer | right: 72 % in VGG-19, 74 % in VGG-16 | 5 |
# | 000: VGG-19 adds three convolutions to VGG-16 | right: conv3_4, conv4_4, conv5_4 | 3 |
# | 000: its table of the six plans | as printed, C, D and E lack two convolutions each | 11 |
# | 000: `conv_4` | is conv2_2, not conv4_2 | 11 |
# | 002: VGG-19 has 23.7 % and 6.8 % error | two networks together; alone 24.4 and 7.1 at best | 11 |
# | 003: ReLU makes the image smooth | it cuts: corners, new frequencies, zeros | 8 |
# | 003: max pooling is followed by ReLU | ReLU comes first; for a maximum it makes no difference | 9 |
# | 003: pooling fixes distorted images | it forgets where; that gives some tolerance to shifts | 9 |
# | 003: only the mean is subtracted | in the paper; torchvision's weights want the division, too | 6 |
# | 003: the input is fixed at 224 x 224 | only for the fully connected layers; ours was another size | 7 |
#
# ## Further reading
#
# - K. Simonyan, A. Zisserman: [Very Deep Convolutional Networks for Large-Scale Image Recognition](https://arxiv.org/abs/1409.1556),
#   ICLR 2015. Sections 2 and 4; our numbers are from tables 1 to 7.
# - W. Luo and others: [Understanding the Effective Receptive Field in Deep Convolutional Neural Networks](https://arxiv.org/abs/1701.04128),
#   NeurIPS 2016. Why the middle counts most.
# - M. Zeiler, R. Fergus: [Visualizing and Understanding Convolutional Networks](https://arxiv.org/abs/1311.2901), ECCV 2014.
#   What single feature maps look for.
# - R. Zhang: [Making Convolutional Networks Shift-Invariant Again](https://arxiv.org/abs/1904.11486), ICML 2019. What pooling
#   does to shifts, and a cure.
#
# **Next:** lesson 02, content reconstruction. You have seen what each layer *says*. How much of the photo is still in
# it?
